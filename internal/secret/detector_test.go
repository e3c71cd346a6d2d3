package secret_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"pgregory.net/rapid"

	"keyshield/internal/secret"
)

const apiKey = "test-key-9fQ2mZ7xW4bT1kLs8VdR3nYp6HcJ0aGu5EoXiB"

func TestSecretIsFoundHoweverItIsCut(t *testing.T) {
	d := secret.NewDetector(secret.New(apiKey), secret.New("another-one-of-32-bytes-or-more-x"))
	text := []byte("Of course! The key is " + apiKey + ", keep it safe.")
	start := bytes.Index(text, []byte(apiKey))
	if !d.In(text) {
		t.Error("not found in one piece")
	}
	for size := 1; size <= len(text); size++ {
		s := d.NewScan()
		var sent []byte
		found := false
		for piece := range chunks(text, size) {
			out, hit := s.Push(piece)
			sent = append(sent, out...)
			found = found || hit
			if hit && len(out) > 0 {
				t.Fatalf("pieces of %d: text goes out with the hit: %q", size, out)
			}
		}
		if rest, hit := s.Flush(); !found || !hit || len(rest) > 0 {
			t.Errorf("pieces of %d: found %v, and at the end %v with %q", size, found, hit, rest)
		}
		if len(sent) > start+4 {
			t.Errorf("pieces of %d: %q went out, more than four bytes of the key", size, sent)
		}
	}
}

func TestTruncatedSecretIsASecret(t *testing.T) {
	d := secret.NewDetector(secret.New(apiKey))
	for text, want := range map[string]bool{
		"it begins " + apiKey[:24] + " and goes on otherwise": true,
		"it begins " + apiKey[:23] + " and goes on otherwise": false,
		"the answer was cut at " + apiKey[:16]:                true,
		"the answer was cut at " + apiKey[:15]:                false,
		"keys look like test-key-, then letters":              false,
		"without its head: " + apiKey[1:]:                     false,
		strings.ToUpper(apiKey):                               false,
		"":                                                    false,
	} {
		if got := d.In([]byte(text)); got != want {
			t.Errorf("In(%q) = %v, want %v", text, got, want)
		}
	}
}

func TestHarmlessTextIsNotHeldBack(t *testing.T) {
	d := secret.NewDetector(secret.New(apiKey), secret.New("short"))
	s := d.NewScan()
	for _, step := range []struct {
		in, out string
		held    int
	}{
		{"a short text", "a short text", 0}, // a secret of five letters would be a word
		{" test", " test", 0},               // four bytes match
		{"-", "", 1},
		{"key", "", 4},
		{"board", "-keyboard", 0},
		{"test-key-test-", "test-key-test", 1},
		{"", "", 1},
		{"tub", "-tub", 0},
	} {
		out, found := s.Push([]byte(step.in))
		if string(out) != step.out || s.Held() != step.held || found {
			t.Errorf("Push(%q) = %q, %v with %d held; want %q, false with %d", step.in, out, found, s.Held(), step.out, step.held)
		}
	}
	s.Push([]byte("test-ke"))
	if rest, found := s.Flush(); string(rest) != "-ke" || found || s.Held() != 0 {
		t.Errorf("Flush = %q, %v with %d held; want the tail", rest, found, s.Held())
	}
}

// What goes out becomes a JSON string, where half a character would be lost.
func TestHoldingBackNeverCutsACharacter(t *testing.T) {
	d := secret.NewDetector(secret.New("pässwörter-für-alle"), secret.New("日本語の秘密の鍵"))
	text := "pässw日本語の秘密のpässwörter-für日本語の日本パpässwörter-füä"
	s := d.NewScan()
	var sent []byte
	for _, r := range text {
		out, found := s.Push([]byte(string(r)))
		if !utf8.Valid(out) || found {
			t.Fatalf("after %q: %q, %v", sent, out, found)
		}
		sent = append(sent, out...)
	}
	rest, found := s.Flush()
	if sent = append(sent, rest...); string(sent) != text || found {
		t.Errorf("%q went out of %q, found %v", sent, text, found)
	}
}

func TestNothingToLookForLetsEverythingPass(t *testing.T) {
	d := secret.NewDetector(secret.String{}, secret.New("1234567"))
	s := d.NewScan()
	if out, found := s.Push([]byte("1234567")); string(out) != "1234567" || found || d.In([]byte("1234567")) {
		t.Errorf("Push = %q, %v", out, found)
	}
}

func TestDetectorIsNeverPrinted(t *testing.T) {
	d := secret.NewDetector(secret.New(apiKey))
	s := d.NewScan()
	s.Push([]byte(apiKey[:20]))
	d.Learn(secret.New(apiKey[3:]))
	for _, v := range []any{d, *d, s, &s, struct{ D *secret.Detector }{d}} {
		text := fmt.Sprintf("%v %+v %#v %s %q %d %x", v, v, v, v, v, v, v)
		if b, err := json.Marshal(v); err == nil {
			text += string(b)
		}
		if len(text) > 1000 || strings.Contains(text, apiKey[:6]) {
			t.Errorf("%T prints what it looks for: %.1000s", v, text)
		}
	}
}

func TestCleanTextIsNotCopied(t *testing.T) {
	s := secret.NewDetector(secret.New(apiKey), secret.New("another-one-of-32-bytes")).NewScan()
	piece := []byte(" the next few words")
	if n := testing.AllocsPerRun(100, func() { s.Push(piece) }); n != 0 {
		t.Errorf("%v allocations per piece", n)
	}
}

// Few letters make needles that overlap themselves and each other.
func TestScanAgreesWithSearching(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.StringOfN(rapid.RuneFrom([]rune("ab")), 1, 30, -1)
		values := rapid.SliceOfN(word, 0, 4).Draw(t, "secrets")
		parts := rapid.SliceOfN(rapid.OneOf(word, rapid.Map(rapid.IntRange(0, 400), func(n int) string {
			if len(values) == 0 {
				return "c"
			}
			v := values[n%len(values)]
			return v[:n/4%(len(v)+1)]
		})), 0, 6).Draw(t, "text")
		text := strings.Join(parts, "")

		var secrets []secret.String
		var needles []string
		for _, v := range values {
			secrets = append(secrets, secret.New(v))
			if len(v) >= 8 {
				needles = append(needles, v[:min(len(v), 24)])
			}
		}
		d := secret.NewDetector(secrets...)
		want := firstEnd(text, needles)
		if got := d.In([]byte(text)); got != (want >= 0 || longestTail(text, needles) >= 16) {
			t.Fatalf("In = %v with a needle's end at %d and a tail of %d", got, want, longestTail(text, needles))
		}

		s := d.NewScan()
		var sent []byte
		for at := 0; at < len(text); {
			n := rapid.IntRange(0, len(text)-at).Draw(t, "piece")
			out, found := s.Push([]byte(text[at : at+n]))
			at += n
			if found != (want >= 0 && want <= at) {
				t.Fatalf("after %d bytes: found %v, but the first needle ends at %d", at, found, want)
			}
			if found {
				if len(out) > 0 {
					t.Fatalf("%q went out with the hit", out)
				}
				break
			}
			sent = append(sent, out...)
			if s.Held() != max(0, longestTail(text[:at], needles)-4) {
				t.Fatalf("%d held after %q", s.Held(), text[:at])
			}
			if string(sent) != text[:at-s.Held()] {
				t.Fatalf("%q went out of %q", sent, text[:at])
			}
		}
		for _, n := range needles {
			if i := strings.Index(text, n); i >= 0 && len(sent) > i+4 {
				t.Fatalf("%q went out, needle at %d", sent, i)
			}
		}
	})
}

// firstEnd returns where the needle that is complete first ends, or -1.
func firstEnd(text string, needles []string) int {
	first := -1
	for _, n := range needles {
		if i := strings.Index(text, n); i >= 0 && (first < 0 || i+len(n) < first) {
			first = i + len(n)
		}
	}
	return first
}

// longestTail returns how much of a needle, not all of it, text ends in.
func longestTail(text string, needles []string) (longest int) {
	for _, n := range needles {
		for k := range len(n) {
			if k > longest && strings.HasSuffix(text, n[:k]) {
				longest = k
			}
		}
	}
	return longest
}

func chunks(b []byte, size int) func(func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for ; len(b) > 0; b = b[min(size, len(b)):] {
			if !yield(b[:min(size, len(b))]) {
				return
			}
		}
	}
}

// TestLearnedSecretsAreFoundWhileTextFlows: learning neither waits for streams nor
// disturbs them, and what was known stays known.
func TestLearnedSecretsAreFoundWhileTextFlows(t *testing.T) {
	const first, second = "test-first-0123456789abcdef", "test-second-0123456789abcdef"
	d := secret.NewDetector(secret.New(apiKey))
	old := d.NewScan()
	d.Learn(secret.New(first))
	d.Learn(secret.New(second), secret.New("short"))

	for _, text := range []string{apiKey, first, second} {
		s := d.NewScan()
		if _, found := s.Push([]byte(text)); !found || !d.In([]byte("is "+text)) {
			t.Errorf("%q is not found", text)
		}
		if got := string(d.Mask([]byte("a " + text + " b"))); got != "a [redacted] b" {
			t.Errorf("masked to %q", got)
		}
	}
	if d.In([]byte("a short text")) {
		t.Error("a word was learned as a secret")
	}
	if out, found := old.Push([]byte(first)); found || string(out) != first {
		t.Errorf("a stream that had begun: %q, %v", out, found)
	}
	if _, found := old.Push([]byte(apiKey)); !found {
		t.Error("a stream that had begun forgot what it looked for")
	}
}

// TestMemoryIsBounded: the latest are kept, and those from the beginning.
func TestMemoryIsBounded(t *testing.T) {
	name := func(n int) string { return fmt.Sprintf("%03d-test-key-of-a-rotation", n) }
	d := secret.NewDetector(secret.New(apiKey))
	for n := range 100 {
		d.Learn(secret.New(name(n)), secret.New(name(1))) // the second stays in force
	}
	for n, want := range map[int]bool{0: false, 1: true, 36: false, 37: true, 99: true} {
		if d.In([]byte(name(n))) != want || bytes.Contains(d.Mask([]byte(name(n))), []byte("test")) == want {
			t.Errorf("number %d of 100 is found = %v, want %v", n, !want, want)
		}
	}
	if !d.In([]byte(apiKey)) {
		t.Error("what it was made for is forgotten")
	}
}

// TestManyReadWhileOneLearns is for the race detector; a secret is found from the
// moment on that Learn has returned.
func TestManyReadWhileOneLearns(t *testing.T) {
	d := secret.NewDetector(secret.New(apiKey))
	var readers sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				s := d.NewScan()
				_, piecewise := s.Push([]byte("the key is " + apiKey))
				if !piecewise || !d.In([]byte(apiKey)) || len(d.Mask([]byte(apiKey))) == len(apiKey) {
					t.Error("lost sight of the first secret")
					return
				}
			}
		})
	}
	for n := range 40 {
		v := fmt.Sprintf("%d-test-key-0123456789", n)
		d.Learn(secret.New(v))
		if !d.In([]byte(v)) {
			t.Errorf("%q is not found right after it was learned", v)
		}
	}
	close(stop)
	readers.Wait()
}

// TestManySecretsAreFoundLikeFew: with many of them another way is taken.
func TestManySecretsAreFoundLikeFew(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.StringOfN(rapid.RuneFrom([]rune("ab")), 8, 30, -1)
		values := rapid.SliceOfN(word, 1, 20).Draw(t, "secrets")
		text := []byte(rapid.StringOfN(rapid.RuneFrom([]rune("abc")), 0, 60, -1).Draw(t, "text"))
		var many []secret.String
		want, masked := false, text
		for _, v := range values {
			many = append(many, secret.New(v))
			one := secret.NewDetector(secret.New(v))
			want = want || one.In(text)
			if bytes.Contains(text, []byte(v)) {
				masked = nil
			}
		}
		d := secret.NewDetector(many...)
		if got := d.In(text); got != want {
			t.Fatalf("In = %v, want %v", got, want)
		}
		got := d.Mask(text)
		for _, v := range values {
			if bytes.Contains(got, []byte(v)) {
				t.Fatalf("%q is left in %q", v, got)
			}
		}
		if masked != nil && !bytes.Equal(got, text) {
			t.Fatalf("%q was made of %q, in which there is no secret", got, text)
		}
	})
}

func BenchmarkScan(b *testing.B) {
	const prose = "The proxy stands between the front end and the provider, so that the secret stays on the server. "
	one := []secret.String{secret.New(apiKey)}
	four := append(one, secret.New(strings.Repeat("q7", 20)), secret.New(strings.Repeat("zK", 20)), secret.New(strings.Repeat("4x", 20)))
	for _, bench := range []struct {
		name    string
		secrets []secret.String
		piece   []byte
	}{
		{"word/1", one, []byte(" server")},
		{"word/4", four, []byte(" server")},
		{"4KiB/1", one, []byte(strings.Repeat(prose, 42))},
		{"4KiB/4", four, []byte(strings.Repeat(prose, 42))},
		{"noise/4", four, noise(4096)},
	} {
		b.Run(bench.name, func(b *testing.B) {
			s := secret.NewDetector(bench.secrets...).NewScan()
			b.SetBytes(int64(len(bench.piece)))
			b.ReportAllocs()
			for b.Loop() {
				s.Push(bench.piece)
			}
		})
	}
}

func BenchmarkIn(b *testing.B) {
	text := []byte(strings.Repeat("The proxy stands between the front end and the provider, so that the secret stays. ", 24))
	for _, n := range []int{1, 2, 8, 9, 66} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			d := secret.NewDetector()
			for i := range n {
				d.Learn(secret.New(apiKey[i%20:] + fmt.Sprint(i)))
			}
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			for b.Loop() {
				d.In(text)
			}
		})
	}
}

func noise(n int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.IntN(256))
	}
	return b
}
