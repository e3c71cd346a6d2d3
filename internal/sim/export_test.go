package sim

import (
	"os"
	"testing"
)

func packageComment(t *testing.T) string {
	t.Helper()
	source, err := os.ReadFile("sim.go")
	if err != nil {
		t.Fatal(err)
	}
	return string(source)
}
