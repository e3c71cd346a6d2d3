package wire

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// valid walks a whole document without reading anything of it.
func valid(doc []byte) error {
	s := scanner{b: doc}
	s.skip()
	s.end()
	return s.err
}

// TestScannerAgreesWithJSONTestSuite runs Nicolas Seriot's collection: y_ must be
// accepted, n_ refused, and where the standard leaves it open (i_) we do as
// encoding/json does, except for the depth.
func TestScannerAgreesWithJSONTestSuite(t *testing.T) {
	var files int
	err := filepath.WalkDir("../prompt/testdata/jsontestsuite", func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".json" {
			return err
		}
		doc, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files++
		name := filepath.Base(path)
		var want bool
		switch name[0] {
		case 'y':
			want = true
		case 'i':
			want = json.Valid(doc) && name != "i_structure_500_nested_arrays.json"
		}
		if got := valid(doc); (got == nil) != want {
			t.Errorf("%s: %v", name, got)
		}
		return nil
	})
	if err != nil || files < 300 {
		t.Errorf("%d files: %v", files, err)
	}
}

func TestDepthIsBounded(t *testing.T) {
	for _, brackets := range [][2]string{{"[", "]"}, {`{"a":`, "}"}} {
		for depth, want := range map[int]bool{maxDepth: true, maxDepth + 1: false, 1 << 20: false} {
			doc := strings.Repeat(brackets[0], depth) + "0" + strings.Repeat(brackets[1], depth)
			if err := valid([]byte(doc)); (err == nil) != want || !want && !errors.Is(err, ErrMalformed) {
				t.Errorf("depth %d: %v", depth, err)
			}
		}
	}
}

// Each position within eight bytes, for the scanner looks at eight at a time.
func TestSpecialBytesAreFoundAnywhere(t *testing.T) {
	for length := range 20 {
		for at := range length {
			for c := range 256 {
				b := []byte(strings.Repeat("a", length))
				b[at] = byte(c)
				want := length
				if c == '"' || c == '\\' || c < 0x20 {
					want = at
				}
				if got := special(b, 0); got != want {
					t.Fatalf("%q: %d, want %d", b, got, want)
				}
				if at+1 < length {
					b[at+1] = '"' // must not hide behind a neighbour
					if got, want := special(b, 0), min(want, at+1); got != want {
						t.Fatalf("%q: %d, want %d", b, got, want)
					}
				}
			}
		}
	}
}

// FuzzScanner: what we accept encoding/json accepts, and the other way round
// down to our depth.
func FuzzScanner(f *testing.F) {
	for _, seed := range []string{
		`{"a":[1,-0.5e+7,true,false,null,"\u00e9\n"],"":{}}`, `[1,]`, `{"a":1,}`, `[,1]`, `01`, `-`, `1.`, `1e`, `"\x"`, `"\u12g4"`, `nul`, "\"\x00\"", `[1 2]`, `{"a" 1}`, `[`, `"`, ``, ` `,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, doc []byte) {
		err := valid(doc)
		if want := json.Valid(doc); (err == nil) != want && !(want && deep(doc)) {
			t.Errorf("%q: %v, encoding/json says %v", doc, err, want)
		}
	})
}

// deep says whether a valid document goes deeper than we follow.
func deep(doc []byte) bool {
	depth, inside := 0, false
	for i := 0; i < len(doc); i++ {
		switch c := doc[i]; {
		case inside && c == '\\':
			i++
		case c == '"':
			inside = !inside
		case inside:
		case c == '[' || c == '{':
			if depth++; depth > maxDepth {
				return true
			}
		case c == ']' || c == '}':
			depth--
		}
	}
	return false
}
