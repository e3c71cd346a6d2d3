package admin

import (
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"keyshield/internal/strict"
)

// query reads the parameters of a question. Like a body, it takes what it knows,
// once, and refuses the rest by name: a filter that is misspelt must not answer
// for everything.
type query struct {
	values url.Values
	err    error
}

// many are the parameters that may come more than once.
const many = "by anchor"

func reading(v url.Values, names ...string) *query {
	q := &query{values: v}
	for name, values := range v {
		switch {
		case len(names) == 0:
			q.fail("there are no parameters here: leave away what stands behind the ?")
		case !slices.Contains(names, name):
			q.fail("there is no parameter %q: say %s", strict.Shown(name), strict.Listed(names, "or"))
		case len(values) > 1 && !slices.Contains(strings.Fields(many), name):
			q.fail("%s appears more than once", name)
		case slices.ContainsFunc(values, unfit):
			q.fail("%s is no text of at most %d bytes", name, maxText)
		}
	}
	return q
}

// maxText bounds every text of a question.
const maxText = 4 << 10

func unfit(s string) bool { return len(s) > maxText || !utf8.ValidString(s) }

func (q *query) fail(format string, args ...any) {
	if q.err == nil {
		q.err = badRequest(format, args...)
	}
}

func (q *query) text(name string) string { return q.values.Get(name) }

func (q *query) bool(name string) bool {
	s := q.text(name)
	if s == "" {
		return false
	}
	b, err := strconv.ParseBool(s)
	if err != nil {
		q.fail("%s must be true or false", name)
	}
	return b
}

func (q *query) int(name string) int {
	return int(q.number(name, 1<<31-1))
}

// number is a whole number from 0 on; 0 where there is none.
func (q *query) number(name string, most int64) int64 {
	s := q.text(name)
	if s == "" {
		return 0
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || n > most {
		q.fail("%s must be a whole number from 0 to %d", name, most)
		return 0
	}
	return n
}

func (q *query) duration(name string) time.Duration {
	s := q.text(name)
	if s == "" {
		return 0
	}
	d, err := Span(s)
	if err != nil {
		q.fail("%s must be a duration such as 7d, 24h or 90m", name)
	}
	return d
}

// Span reads how long something lasts. People count in days, of which
// time.ParseDuration knows nothing.
func Span(s string) (time.Duration, error) {
	const longest = 10_000 // days: no overflow
	days, ok := strings.CutSuffix(s, "d")
	if !ok {
		return time.ParseDuration(s)
	}
	n, err := strconv.ParseUint(days, 10, 64)
	if err != nil || n > longest {
		return 0, errors.New("no number of days")
	}
	return time.Duration(n) * 24 * time.Hour, nil
}

// time is an instant, or the zero one where there is none.
func (q *query) time(name string) time.Time {
	s := q.text(name)
	if s == "" {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		q.fail("%s must be a time such as 2026-11-21T12:00:00Z", name)
	}
	return t
}
