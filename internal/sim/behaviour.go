package sim

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Behaviour is how a call is answered. Each field is a word of the package
// comment; the zero value answers at once, completely and truthfully.
type Behaviour struct {
	Latency     time.Duration
	Pace        time.Duration
	Chunks      int
	Bytes       int
	Size        int
	Text        string
	Escape      bool
	Model       string
	Choices     int
	Finish      string
	Refusal     bool
	Tool        string
	Args        string
	Calls       int
	Flagged     string
	ContentType string

	Usage       string
	ExtraTokens int
	Harsh       bool
	Bill        bool

	Status       int
	Quota        bool
	RetryAfter   string
	RetryAfterMS string
	HTML         bool
	Redirect     string
	Leak         string
	Split        int
	Fault        Fault
	At           int
	Amount       int
	FailTimes    int
	Tag          string
}

// Fault is a way of going wrong that no status can express.
type Fault string

// The faults; the package comment says what each does.
const (
	HangBefore      Fault = "hang_before"
	HangMid         Fault = "hang_mid"
	Cut             Fault = "cut"
	EOF             Fault = "eof"
	NoDone          Fault = "no_done"
	Malformed       Fault = "malformed"
	ErrorChunk      Fault = "error_chunk"
	ErrorEvent      Fault = "error_event"
	EndlessLine     Fault = "endless_line"
	EndlessComments Fault = "endless_comments"
	NeverEnding     Fault = "never_ending"
	Giant           Fault = "giant"
	ReasoningOnly   Fault = "reasoning_only"
	NullContent     Fault = "null_content"
	InvalidUTF8     Fault = "invalid_utf8"
	Reset           Fault = "reset"
	Failed          Fault = "failed"
)

// Faults lists every fault, for tests that try them all.
func Faults() []Fault {
	return []Fault{HangBefore, HangMid, Cut, EOF, NoDone, Malformed, ErrorChunk, ErrorEvent, EndlessLine,
		EndlessComments, NeverEnding, Giant, ReasoningOnly, NullContent, InvalidUTF8, Reset, Failed}
}

// midway are the faults that strike after at chunks.
func (f Fault) midway() bool {
	switch f {
	case HangMid, Cut, EOF, Malformed, ErrorChunk, ErrorEvent, EndlessLine, EndlessComments, Giant, Failed:
		return true
	}
	return false
}

// floods are the faults that send amount bytes.
func (f Fault) floods() bool { return f == EndlessLine || f == EndlessComments || f == Giant }

const (
	defaultAt     = 2
	defaultAmount = 256 << 20
	maxAmount     = 1 << 30
	maxSize       = 64 << 20
	maxWait       = time.Hour
)

// String says b in words, as a directive would.
func (b Behaviour) String() string {
	var said []string
	for _, w := range words {
		if value := w.get(&b); value != "" {
			said = append(said, w.name+"="+quoteWord(value))
		}
	}
	return strings.Join(said, " ")
}

// normal is b without what goes wrong: what is left once fail_times is used up.
func (b Behaviour) normal() Behaviour {
	b.Status, b.Quota, b.HTML, b.Redirect, b.Fault, b.Leak = 0, false, false, "", "", ""
	b.RetryAfter, b.RetryAfterMS, b.Split, b.At, b.Amount, b.Bill = "", "", 0, 0, 0, false
	return b
}

// wrong reports whether b makes a call go wrong at all.
func (b Behaviour) wrong() bool {
	return b.Status != 0 || b.Quota || b.HTML || b.Redirect != "" || b.Fault != "" || b.Leak != ""
}

// denies reports whether a call gets a status or a page instead of an answer.
func (b Behaviour) denies() bool { return b.Status != 0 || b.Quota || b.HTML || b.Redirect != "" }

// names is what the report counts the behaviour under.
func (b Behaviour) names() []string {
	var names []string
	switch {
	case b.Redirect != "":
		names = append(names, "redirect")
	case b.HTML:
		names = append(names, "html")
	case b.Quota:
		names = append(names, "quota")
	case b.Status != 0:
		names = append(names, fmt.Sprintf("status_%d", b.Status))
	case b.Fault != "":
		names = append(names, string(b.Fault))
	}
	if b.Leak != "" {
		names = append(names, "leak_"+b.Leak)
	}
	return names
}

// check refuses words out of their range, and words that would have no effect
// beside the others: a test that believes in them would prove nothing.
func (b Behaviour) check() error {
	for _, w := range words {
		value := w.get(&b)
		if value == "" {
			continue
		}
		if err := w.set(&b, value); err != nil {
			return fmt.Errorf("%s=%s: %w", w.name, value, err)
		}
	}
	if b.Redirect == "" && b.Status != 0 && b.Status < 400 && !(b.HTML && b.Status == 200) {
		return fmt.Errorf("status=%d: only 400 to 599, a redirect's 301 to 308, or 200 with html", b.Status)
	}
	if b.Redirect != "" && b.Status != 0 && !slices.Contains([]int{301, 302, 303, 307, 308}, b.Status) {
		return fmt.Errorf("status=%d does not go with redirect: 301, 302, 303, 307 or 308", b.Status)
	}
	errorText := b.Status >= 400 || b.Quota || b.HTML || b.Fault == ErrorChunk || b.Fault == ErrorEvent || b.Fault == Failed
	for _, rule := range []struct {
		broken bool
		text   string
	}{
		{b.denies() && b.Fault != "", "fault does not go with status, quota, html or redirect"},
		{b.HTML && b.Redirect != "", "html does not go with redirect"},
		{b.Quota && (b.HTML || b.Redirect != "" || b.Status != 0 && b.Status != 429), "quota is a 429 in OpenAI's JSON"},
		{(b.RetryAfter != "" || b.RetryAfterMS != "") && !b.denies(), "retry_after needs status, quota, html or redirect"},
		{b.Bill && !b.denies(), "bill needs status, quota, html or redirect: everything else is billed"},
		{b.Split != 0 && b.Leak != "split", "split needs leak=split"},
		{b.Leak == "split" && b.Split == 0, "leak=split needs split, the bytes before the cut"},
		{b.Leak == "error" && !errorText, "leak=error needs an error: status, quota, html or an error fault"},
		{b.denies() && b.Leak != "" && b.Leak != "error" && b.Leak != "header", "an error can leak only as error or header"},
		{b.At != 0 && !b.Fault.midway(), "at needs a fault that strikes in the middle of a stream"},
		{b.Amount != 0 && !b.Fault.floods(), "amount needs fault=endless_line, endless_comments or giant"},
		{b.FailTimes != 0 && !b.wrong(), "fail_times needs something that goes wrong"},
		{b.Chunks != 0 && b.Bytes != 0, "chunks does not go with bytes"},
		{b.Size != 0 && b.Text != "", "size does not go with text"},
		{b.Tool != "" && (b.Text != "" || b.Size != 0 || b.Refusal), "tool does not go with text, size or refusal"},
	} {
		if rule.broken {
			return errors.New(rule.text)
		}
	}
	return nil
}
