package wire

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// Each type of event that we know by name has an example, and is found by it.
func TestEveryTypeOfEventHasAnExample(t *testing.T) {
	files, err := filepath.Glob("testdata/responses/*.sse")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	var seen []string
	for _, file := range files {
		f, err := os.Open(file)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		events := NewEvents(f)
		for {
			ev, err := events.Next()
			if err != nil {
				break
			}
			name := string(ev.Name)
			got, err := HearResponseEvent(ev.Data, func(Literal, bool) {})
			if want := name; got.Type != want && !(got.Type == "other" && !slices.Contains(eventTypes[:], want)) || err != nil {
				t.Errorf("%s: type %q, %v", name, got.Type, err)
			}
			seen = append(seen, name)
		}
	}
	for _, name := range eventTypes {
		if !slices.Contains(seen, name) {
			t.Errorf("no example of %s", name)
		}
	}
}
