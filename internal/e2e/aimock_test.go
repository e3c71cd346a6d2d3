package e2e

import (
	"crypto/rand"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestAnothersProvider: our simulator and our relay could share a mistake. aimock
// is somebody else's idea of OpenAI.
func TestAnothersProvider(t *testing.T) {
	for _, one := range sdks() {
		t.Run(one.name, func(t *testing.T) {
			t.Parallel()
			s := &seat{sdk: one, rig: beforeAimock(t)}
			if strings.HasPrefix(one.name, "go ") {
				s.driver = drive(t, "openaigo", nil, built.openaigo)
			} else {
				s.driver = node(t, "sdk/node.mjs")
			}
			s.worksWithAimock(t)
		})
	}
}

// TestAnothersProviderInChromium is the same from a page of another origin.
func TestAnothersProviderInChromium(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	home := site(t, dir)
	r := beforeAimock(t, "ALLOWED_ORIGINS="+home)
	fromAPage(t, r, dir, home, func(t *testing.T, s *seat) { s.worksWithAimock(t) })
}

// beforeAimock starts the program before an aimock of its own.
func beforeAimock(t *testing.T, settings ...string) *rig {
	t.Helper()
	var mock struct{ URL string }
	node(t, "sdk/aimock.mjs").next(t, &mock)
	return startBefore(t, mock.URL, "test-key-"+rand.Text(), settings...)
}

// worksWithAimock asks what sdk/aimock.mjs has answers to.
func (s *seat) worksWithAimock(t *testing.T) {
	for _, c := range []testCase{
		{"answer", "answer", func(t *testing.T, s *seat) {
			got := s.ok(t, call{Op: "answer", Prompt: "How are you?"})
			if want := "All is well."; got.Text != want {
				t.Errorf("%s says %q, want %q", s.name, got.Text, want)
			}
		}, nil},
		{"stream", "stream", func(t *testing.T, s *seat) {
			got := s.ok(t, call{Op: "stream", Prompt: "Tell me a story"})
			if got.Text != tale || got.Pieces < 5 || got.Finish == "" {
				t.Errorf("%s: %q in %d pieces with the finish %q, want %q in several with one", s.name, got.Text, got.Pieces, got.Finish, tale)
			}
		}, nil},
		{"tools there and back", "tools", func(t *testing.T, s *seat) {
			got := s.ok(t, call{Op: "tools", Prompt: "What is the weather?"})
			s.calledWeather(t, got)
			if want := "The sky over São Paulo is clear."; got.Text != want {
				t.Errorf("%s says %q, want %q", s.name, got.Text, want)
			}
		}, nil},
		{"tools in a stream", "toolStream", func(t *testing.T, s *seat) {
			s.calledWeather(t, s.ok(t, call{Op: "toolStream", Prompt: "What is the weather?"}))
		}, nil},
		{"structured output", "object", func(t *testing.T, s *seat) {
			got := s.ok(t, call{Op: "object", Prompt: "Who was the first programmer?"})
			if diff := cmp.Diff(`{"name":"Ada","age":36,"tags":["poet","engine"]}`, string(got.Object)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", s.name, diff)
			}
		}, nil},
		{"turns", "turns", func(t *testing.T, s *seat) {
			got := s.ok(t, call{Op: "turns", Prompts: []string{"How are you?", "Then tell me a story"}})
			if !slices.Equal(got.Texts, []string{"All is well.", tale}) {
				t.Errorf("%s says %q", s.name, got.Texts)
			}
		}, nil},
		{"embeddings", "embed", func(t *testing.T, s *seat) {
			got := s.ok(t, call{Op: "embed", Texts: []string{"a key"}})
			if !alike(got.Vectors, [][]float64{sines()}) {
				t.Errorf("%s has other vectors than aimock: %v", s.name, got.Vectors)
			}
		}, nil},
	} {
		if c.concerns(s) {
			t.Run(c.name, func(t *testing.T) { c.check(t, s) })
		}
	}
}

// sines is the vector of sdk/aimock.mjs.
func sines() []float64 {
	v := make([]float64, 256)
	for i := range v {
		v[i] = math.Sin(float64(1 + i))
	}
	return v
}
