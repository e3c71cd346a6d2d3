package config

import (
	"errors"
	"math"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Bytes is a size, written 65536, 64KiB or 1MiB.
type Bytes int64

// UnmarshalText reads a size.
func (b *Bytes) UnmarshalText(text []byte) error {
	digits, unit := string(text), int64(1)
	for suffix, factor := range map[string]int64{"KiB": 1 << 10, "MiB": 1 << 20} {
		if before, ok := strings.CutSuffix(digits, suffix); ok {
			digits, unit = strings.TrimSuffix(before, " "), factor
			break
		}
	}
	n, err := strconv.ParseUint(digits, 10, 63)
	if err != nil || int64(n) > math.MaxInt64/unit {
		return errors.New("not a size")
	}
	*b = Bytes(int64(n) * unit)
	return nil
}

// String writes the size in the largest unit that is exact.
func (b Bytes) String() string {
	switch {
	case b != 0 && b%(1<<20) == 0:
		return strconv.FormatInt(int64(b>>20), 10) + "MiB"
	case b != 0 && b%(1<<10) == 0:
		return strconv.FormatInt(int64(b>>10), 10) + "KiB"
	}
	return strconv.FormatInt(int64(b), 10)
}

// Cap is a number of things at once, or off.
type Cap int

const noCap Cap = math.MaxInt

// UnmarshalText reads a cap. Zero is not off: off is said in full.
func (c *Cap) UnmarshalText(text []byte) error {
	if string(text) == "off" {
		*c = noCap
		return nil
	}
	n, err := strconv.ParseInt(string(text), 10, 32)
	if err != nil {
		return errors.New("not a number")
	}
	*c = Cap(n)
	return nil
}

// Off reports that there is no cap; as a number it is then larger than any.
func (c Cap) Off() bool { return c == noCap }

func (c Cap) String() string {
	if c.Off() {
		return "off"
	}
	return strconv.Itoa(int(c))
}

const quoted = 60 // code points of a value shown in a message

// quote shows a value that is not secret, shortened.
func quote(v string) string {
	switch {
	case secretive(v):
		return "what it holds (not shown: it looks like a secret)"
	case utf8.RuneCountInString(v) > quoted:
		v = string([]rune(v)[:quoted]) + "…"
	}
	return strconv.Quote(v)
}

// secretive reports whether v looks like a key or a token. Such is not shown
// whatever variable it stands in: people paste into the wrong line.
func secretive(v string) bool { return secretMark.MatchString(v) }

var secretMark = regexp.MustCompile(`(^|[^A-Za-z0-9])sk-[A-Za-z0-9_-]{16}|eyJ[A-Za-z0-9_-]{16}|-----BEGIN`)

// showable reports whether a message of someone else's may hold v whole.
func showable(v string) bool { return !secretive(v) && utf8.RuneCountInString(v) <= quoted }

// fault is what is wrong with a value, told by whoever parses it.
type fault struct{ text, fix string }

func (f *fault) Error() string { return f.text }
