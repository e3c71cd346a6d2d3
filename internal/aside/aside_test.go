package aside_test

import (
	"strings"
	"testing"

	"keyshield/internal/aside"
)

func TestRunWaits(t *testing.T) {
	done := false
	aside.Run(func() { done = true })
	if !done {
		t.Error("Run came back before f was done")
	}
}

func explode() { panic("bug") }

func TestAPanicIsTheCallersAndSaysWhere(t *testing.T) {
	defer func() {
		p, ok := recover().(*aside.Panic)
		if !ok || p.Value != "bug" || !strings.Contains(p.Error(), "explode") {
			t.Errorf("recovered %v, want the panic with the stack of explode", p)
		}
	}()
	aside.Run(explode)
}
