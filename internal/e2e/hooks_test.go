package e2e

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// act is what a person does in the application.
type act struct {
	Do        string `json:"do"`
	Address   string `json:"address,omitempty"`
	Prompt    string `json:"prompt,omitempty"`
	StopAfter int    `json:"stopAfter,omitempty"` // so many changes of the text
}

// sight is what is then to be seen.
type sight struct {
	Status   string    `json:"status"`
	Error    string    `json:"error"`
	Messages []message `json:"messages"`
	Lengths  []int     `json:"lengths"` // of the last answer, each time it changed
	Failed   string    `json:"failed"`  // the act itself could not be done
}

type message struct {
	Role string `json:"role"`
	Text string `json:"text"`
}

// window is a browser's, with the application in it.
type window struct {
	*rig
	*driver
	origin, hook, protocol string
}

// TestHooksNeedNoServerCode: useChat and useCompletion against the running
// program, from a page that is nothing but files.
func TestHooksNeedNoServerCode(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	origin := site(t, dir)
	r := start(t, "ALLOWED_ORIGINS="+origin, "MAX_STREAMS_PER_USER=off")
	d := chromium(t, "hooks/chromium.mjs", dir)
	for _, hook := range []string{"chat", "completion"} {
		for _, protocol := range []string{"ui", "text"} {
			w := &window{r, d, origin, hook, protocol}
			t.Run(hook+" "+protocol, func(t *testing.T) {
				t.Run("answers in steps", w.answersInSteps)
				t.Run("stops, and goes on", w.stops)
				t.Run("shows a refusal", w.showsRefusals)
				t.Run("shows a break", w.showsBreaks)
				if hook == "chat" {
					t.Run("takes turns", w.takesTurns)
					t.Run("answers again", w.answersAgain)
				}
			})
		}
	}
}

// open loads the application anew, for a user of the test's own.
func (w *window) open(t *testing.T, token string) {
	t.Helper()
	query := url.Values{"hook": {w.hook}, "protocol": {w.protocol}, "api": {w.url}, "token": {token}}
	w.do(t, act{Do: "open", Address: w.origin + "/?" + query.Encode()})
}

func (w *window) do(t *testing.T, a act) (seen sight) {
	t.Helper()
	if err := w.in.Encode(a); err != nil {
		t.Fatal(err)
	}
	w.next(t, &seen)
	if seen.Failed != "" {
		t.Fatalf("%s of %q: %s\nto be seen: %+v", a.Do, a.Prompt, seen.Failed, seen)
	}
	return seen
}

// says sends a prompt that must be answered with want.
func (w *window) says(t *testing.T, prompt, want string) sight {
	t.Helper()
	seen := w.do(t, act{Do: "say", Prompt: fmt.Sprintf("[[sim text=%q pace=20ms]] %s", want, prompt)})
	if seen.Status != "ready" || seen.Error != "" || seen.last() != want {
		t.Fatalf("%q is answered with %q (status %s, error %q), want %q", prompt, seen.last(), seen.Status, seen.Error, want)
	}
	return seen
}

func (s sight) last() string {
	if len(s.Messages) == 0 {
		return ""
	}
	return s.Messages[len(s.Messages)-1].Text
}

func (w *window) answersInSteps(t *testing.T) {
	w.open(t, w.token(t, user(t), ""))
	seen := w.says(t, "Tell me a story", tale)
	if n := len(slices.Compact(seen.Lengths)); n < 4 {
		t.Errorf("the answer appears in %d steps (%v), want it to be seen as it grows", n, seen.Lengths)
	}
}

func (w *window) takesTurns(t *testing.T) {
	w.open(t, w.token(t, user(t), ""))
	w.says(t, "Which colour?", "Red.")
	w.says(t, "And another?", "Blue.")
	seen := w.says(t, "And a third?", "Green.")
	var roles []string
	for _, m := range seen.Messages {
		roles = append(roles, m.Role)
	}
	if diff := cmp.Diff([]string{"user", "assistant", "user", "assistant", "user", "assistant"}, roles); diff != "" {
		t.Errorf("who speaks (-want +got):\n%s", diff)
	}
	last := w.lastAsked(t)
	for _, said := range []string{"Which colour?", "Red.", "And another?", "Blue.", "And a third?"} {
		if !strings.Contains(last, said) {
			t.Errorf("the model is not told %q in the third turn:\n%s", said, last)
		}
	}
}

func (w *window) stops(t *testing.T) {
	w.open(t, w.token(t, user(t), ""))
	w.cancels(t, func() {
		seen := w.do(t, act{Do: "say", Prompt: "[[sim chunks=100 pace=100ms size=400]] Tell me a long story", StopAfter: 3})
		if n := len(seen.last()); seen.Status != "ready" || n == 0 || n >= 400 {
			t.Errorf("stopped: status %s, error %q, %d bytes; want it ready, with a part", seen.Status, seen.Error, n)
		}
	})
	w.says(t, "And now?", "Going on.")
}

func (w *window) answersAgain(t *testing.T) {
	w.open(t, w.token(t, user(t), ""))
	w.says(t, "Which colour?", "Red.")
	before := w.reported(t, "calls=0").Calls
	seen := w.do(t, act{Do: "again"})
	if seen.Status != "ready" || len(seen.Messages) != 2 || seen.last() != "Red." {
		t.Errorf("again: %+v, want the question and one answer", seen)
	}
	if after := w.reported(t, "calls=0").Calls; after != before+1 {
		t.Errorf("the provider is asked %d times to answer again, want once", after-before)
	}
}

func (w *window) showsRefusals(t *testing.T) {
	w.open(t, "not-a-token")
	if seen := w.do(t, act{Do: "say", Prompt: "Hello"}); seen.Status != "error" || !strings.Contains(seen.Error, "Invalid or expired security token.") {
		t.Errorf("a bad token: status %s, error %q; want it to say so", seen.Status, seen.Error)
	}
	w.open(t, w.token(t, user(t), "poor"))
	w.do(t, act{Do: "say", Prompt: "[[sim fault=cut]] Spend it"})
	if seen := w.do(t, act{Do: "say", Prompt: "Hello"}); seen.Status != "error" || !strings.Contains(seen.Error, "budget") {
		t.Errorf("a budget that is spent: status %s, error %q; want it to say so", seen.Status, seen.Error)
	}
}

func (w *window) showsBreaks(t *testing.T) {
	w.open(t, w.token(t, user(t), ""))
	seen := w.do(t, act{Do: "say", Prompt: "[[sim chunks=40 pace=20ms size=400 fault=cut at=4]] Tell me a story"})
	if seen.Status != "error" || seen.Error == "" {
		t.Errorf("a broken answer: status %s, error %q, text %q; want an error", seen.Status, seen.Error, seen.last())
	}
	if w.protocol == "ui" && !strings.Contains(seen.Error, "stopped answering") {
		t.Errorf("the error is %q, which does not say that the provider stopped answering", seen.Error)
	}
	w.says(t, "And now?", "Going on.")
}
