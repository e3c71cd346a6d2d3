package sim

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// word is one setting as it is written: in a directive, in the control
// endpoint's JSON, and by String.
type word struct {
	name string
	flag bool                           // may stand alone
	set  func(*Behaviour, string) error // strict
	get  func(*Behaviour) string        // "" when it is not set
}

// words are all there are.
var words = []word{
	durationWord("latency", func(b *Behaviour) *time.Duration { return &b.Latency }),
	durationWord("pace", func(b *Behaviour) *time.Duration { return &b.Pace }),
	numberWord("chunks", 0, 100_000, func(b *Behaviour) *int { return &b.Chunks }),
	numberWord("bytes", 0, maxSize, func(b *Behaviour) *int { return &b.Bytes }),
	numberWord("size", 0, maxSize, func(b *Behaviour) *int { return &b.Size }),
	textWord("text", func(b *Behaviour) *string { return &b.Text }),
	flagWord("escape", func(b *Behaviour) *bool { return &b.Escape }),
	textWord("model", func(b *Behaviour) *string { return &b.Model }),
	numberWord("choices", 0, 16, func(b *Behaviour) *int { return &b.Choices }),
	oneOf("finish", func(b *Behaviour) *string { return &b.Finish }, "stop", "length", "content_filter"),
	flagWord("refusal", func(b *Behaviour) *bool { return &b.Refusal }),
	textWord("tool", func(b *Behaviour) *string { return &b.Tool }),
	textWord("args", func(b *Behaviour) *string { return &b.Args }),
	numberWord("calls", 0, 16, func(b *Behaviour) *int { return &b.Calls }),
	oneOf("flagged", func(b *Behaviour) *string { return &b.Flagged }, categories...),
	headerWord("content_type", func(b *Behaviour) *string { return &b.ContentType }),
	oneOf("usage", func(b *Behaviour) *string { return &b.Usage }, "missing", "null", "zero", "negative", "huge", "cached", "written"),
	numberWord("extra_tokens", 0, 1_000_000, func(b *Behaviour) *int { return &b.ExtraTokens }),
	flagWord("harsh", func(b *Behaviour) *bool { return &b.Harsh }),
	flagWord("bill", func(b *Behaviour) *bool { return &b.Bill }),
	numberWord("status", 0, 599, func(b *Behaviour) *int { return &b.Status }),
	flagWord("quota", func(b *Behaviour) *bool { return &b.Quota }),
	headerWord("retry_after", func(b *Behaviour) *string { return &b.RetryAfter }),
	headerWord("retry_after_ms", func(b *Behaviour) *string { return &b.RetryAfterMS }),
	flagWord("html", func(b *Behaviour) *bool { return &b.HTML }),
	headerWord("redirect", func(b *Behaviour) *string { return &b.Redirect }),
	oneOf("leak", func(b *Behaviour) *string { return &b.Leak }, "whole", "split", "bytes", "header", "fields", "error", "last"),
	numberWord("split", 0, 4096, func(b *Behaviour) *int { return &b.Split }),
	oneOf("fault", func(b *Behaviour) *Fault { return &b.Fault }, Faults()...),
	numberWord("at", -1, 1_000_000, func(b *Behaviour) *int { return &b.At }),
	amountWord("amount", func(b *Behaviour) *int { return &b.Amount }),
	numberWord("fail_times", 0, 1_000_000, func(b *Behaviour) *int { return &b.FailTimes }),
	textWord("tag", func(b *Behaviour) *string { return &b.Tag }),
}

// findWord is linear: a directive has a handful of words.
func findWord(name string) (word, error) {
	for _, w := range words {
		if w.name == name {
			return w, nil
		}
	}
	known := make([]string, len(words))
	for i, w := range words {
		known[i] = w.name
	}
	return word{}, fmt.Errorf("the simulator knows no word %q; it knows %s", name, strings.Join(known, ", "))
}

func durationWord(name string, field func(*Behaviour) *time.Duration) word {
	return word{
		name: name,
		set: func(b *Behaviour, value string) error {
			d, err := time.ParseDuration(value)
			if err != nil || d < 0 || d > maxWait {
				return fmt.Errorf("want a duration such as 20ms, at most %v", maxWait)
			}
			*field(b) = d
			return nil
		},
		get: func(b *Behaviour) string {
			if *field(b) == 0 {
				return ""
			}
			return field(b).String()
		},
	}
}

func numberWord(name string, least, most int, field func(*Behaviour) *int) word {
	return word{
		name: name,
		set: func(b *Behaviour, value string) error {
			n, err := strconv.Atoi(value)
			if err != nil || n < least || n > most {
				return fmt.Errorf("want a whole number from %d to %d", least, most)
			}
			*field(b) = n
			return nil
		},
		get: func(b *Behaviour) string {
			if *field(b) == 0 {
				return ""
			}
			return strconv.Itoa(*field(b))
		},
	}
}

func amountWord(name string, field func(*Behaviour) *int) word {
	w := numberWord(name, 0, maxAmount, field)
	plain := w.set
	w.set = func(b *Behaviour, value string) error {
		digits, shift := value, 0
		if d, ok := strings.CutSuffix(value, "KiB"); ok {
			digits, shift = d, 10
		} else if d, ok := strings.CutSuffix(value, "MiB"); ok {
			digits, shift = d, 20
		}
		n, err := strconv.Atoi(digits)
		if err != nil || n < 0 || n > maxAmount>>shift {
			return fmt.Errorf("want bytes, KiB or MiB, at most %dMiB", maxAmount>>20)
		}
		return plain(b, strconv.Itoa(n<<shift))
	}
	return w
}

func flagWord(name string, field func(*Behaviour) *bool) word {
	return word{
		name: name,
		flag: true,
		set: func(b *Behaviour, value string) error {
			if value != "true" && value != "false" {
				return errors.New("want true or false")
			}
			*field(b) = value == "true"
			return nil
		},
		get: func(b *Behaviour) string {
			if !*field(b) {
				return ""
			}
			return "true"
		},
	}
}

func textWord(name string, field func(*Behaviour) *string) word {
	return word{
		name: name,
		set:  func(b *Behaviour, value string) error { *field(b) = value; return nil },
		get:  func(b *Behaviour) string { return *field(b) },
	}
}

// header is a text that is sent in a header field: net/http would silently
// replace line breaks.
func headerWord(name string, field func(*Behaviour) *string) word {
	w := textWord(name, field)
	plain := w.set
	w.set = func(b *Behaviour, value string) error {
		if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' }) {
			return errors.New("want printable ASCII, as it becomes a header")
		}
		return plain(b, value)
	}
	return w
}

func oneOf[S ~string](name string, field func(*Behaviour) *S, values ...S) word {
	return word{
		name: name,
		set: func(b *Behaviour, value string) error {
			switch {
			case value == "none":
				*field(b) = ""
			case slices.Contains(values, S(value)):
				*field(b) = S(value)
			default:
				return fmt.Errorf("want none or one of %v", values)
			}
			return nil
		},
		get: func(b *Behaviour) string { return string(*field(b)) },
	}
}
