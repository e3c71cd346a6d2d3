package watch

import (
	"cmp"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"

	"keyshield/internal/money"
)

// sentence says what happened: "alice made 412 requests in the last minute;
// usually it is 3".
func (a *Alarm) sentence(known bool) string {
	var b strings.Builder
	who := "Everybody together"
	if a.Key != "" {
		who = printable(a.name())
	}
	b.WriteString(who)
	switch a.Signal {
	case Requests:
		fmt.Fprintf(&b, " made %s in the last minute", count(a.Now, "request", "requests"))
	case Dollars:
		fmt.Fprintf(&b, " spent %s in the last hour", dollarsOf(a.Now))
	case Refusals:
		fmt.Fprintf(&b, " had %s refused in the last minute", count(a.Now, "request", "requests"))
	case Addresses:
		fmt.Fprintf(&b, " came from %s in the last hour", a.addresses())
	}
	switch {
	case a.Usual == 0 && known:
		b.WriteString("; usually it is none")
	case a.Usual == 0:
		b.WriteString("; there is no past yet to compare it with")
	case a.Signal == Dollars:
		fmt.Fprintf(&b, "; usually it is %s", dollarsOf(a.Usual))
	default:
		fmt.Fprintf(&b, "; usually it is %s", about(a.Usual))
	}
	return b.String()
}

// disabled says for how long, and the way back.
func (a *Alarm) disabled() string {
	return "; disabled for " + spell(a.For) + "; undo: keyshield enable --user " + shellWord(a.handle())
}

func (a *Alarm) name() string { return cmp.Or(a.ID, a.Key) }

// handle is what to call them in a command: by the pseudonym where the id is
// nothing that one can see and paste.
func (a *Alarm) handle() string {
	if a.ID == "" || strings.ContainsFunc(a.ID, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return a.Key
	}
	return a.ID
}

func (a *Alarm) addresses() string {
	more := ""
	if a.Key != "" && a.Now >= maxAddress {
		more = " or more"
	}
	return count(a.Now, "address", "addresses") + more
}

func count(n float64, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%.0f %s", n, many)
}

// about is as exact as a level.
func about(n float64) string {
	if n < 10 {
		return fmt.Sprintf("%.0f", n)
	}
	return fmt.Sprintf("about %.0f", n)
}

func dollarsOf(n float64) string {
	return cents(money.USD(min(n*float64(money.Dollar), math.MaxInt64/2)))
}

// cents rounds to what a person reads.
func cents(of money.USD) string {
	const cent = money.Dollar / 100
	if of < cent {
		return "less than a cent"
	}
	return ((of + cent/2) / cent * cent).String()
}

// spell writes "1h30m", not "1h30m0s".
func spell(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// printable keeps an id from being taken for our own words, or for a line.
func printable(id string) string {
	if plain.MatchString(id) {
		return id
	}
	return strconv.QuoteToGraphic(id)
}

// shellWord is id as one word of a command: it will be pasted into a shell, and
// whoever chose it knows that. A dot at its end would be taken for the sentence's.
func shellWord(id string) string {
	if plain.MatchString(id) && !strings.ContainsAny(id[len(id)-1:], ".:") {
		return id
	}
	return "'" + strings.ReplaceAll(id, "'", `'\''`) + "'"
}

var plain = regexp.MustCompile(`^[A-Za-z0-9_@.:/+][A-Za-z0-9_@.:/+-]*$`)
