package alert

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// What comes beyond a receiver's limits is told together: a minute after the first
// critical one and then every ten minutes, or an hour after the first of the others.
const (
	digestSoon  = time.Minute
	digestEvery = 10 * time.Minute
	digestLate  = time.Hour

	maxLines = 20
	maxLine  = 80
	maxKinds = 40
)

// digest collects events that are not told one by one: their number by kind, and
// the titles of those that matter most.
type digest struct {
	Since    time.Time      `json:"since"`
	Critical bool           `json:"critical"`
	Kinds    map[string]int `json:"kinds"`
	Lines    []line         `json:"lines"`
}

type line struct {
	Kind     string   `json:"kind"`
	Severity Severity `json:"severity"`
	Text     string   `json:"text"`
}

func (d *digest) add(e Event, now time.Time) {
	if d.Kinds == nil {
		d.Kinds, d.Since = make(map[string]int), now
	}
	if e.Severity == Critical && !d.Critical {
		d.Critical, d.Since = true, now
	}
	kind := e.Kind
	if _, known := d.Kinds[kind]; !known && len(d.Kinds) >= maxKinds {
		kind = "other"
	}
	d.Kinds[kind]++
	d.Lines = append(d.Lines, line{kind, e.Severity, cut(e.Title, maxLine)})
	if len(d.Lines) > maxLines {
		i := d.dispensable()
		d.Lines = slices.Delete(d.Lines, i, i+1)
	}
}

// dispensable is the line that says least: of the kinds with several lines those that
// matter least, of them the commonest, of that the newest. The only line of a kind
// stays, for a hundred users who were disabled must not hide the one key that was
// refused; it goes only where each kind has but one.
func (d *digest) dispensable() int {
	of := make(map[string]int)
	for _, l := range d.Lines {
		of[l.Kind]++
	}
	least := 0
	for i, l := range d.Lines {
		if than := d.Lines[least]; cmp.Or(
			cmp.Compare(min(of[l.Kind], 2), min(of[than.Kind], 2)), // several, not one
			cmp.Compare(than.Severity, l.Severity),
			cmp.Compare(of[l.Kind], of[than.Kind]),
		) >= 0 {
			least = i
		}
	}
	return least
}

func (d *digest) count() int {
	n := 0
	for _, of := range d.Kinds {
		n += of
	}
	return n
}

// due says when the digest is to be told; zero: there is nothing to tell.
func (d *digest) due(last time.Time) time.Time {
	switch {
	case len(d.Kinds) == 0:
		return time.Time{}
	case !d.Critical:
		return d.Since.Add(digestLate)
	}
	due := d.Since.Add(digestSoon)
	if next := last.Add(digestEvery); next.After(due) {
		due = next
	}
	return due
}

// notice makes one event of all of them.
func (d *digest) notice(now time.Time) *notice {
	e := Event{Kind: kindDigest, Severity: Warning, At: now}
	if d.Critical {
		e.Severity = Critical
	}
	e.Title = fmt.Sprintf("%d more alerts", d.count())
	if d.count() == 1 {
		e.Title = "One more alert"
	}
	slices.SortStableFunc(d.Lines, func(a, b line) int { return int(b.Severity - a.Severity) })
	var text strings.Builder
	text.WriteString("There were too many to tell one by one. What happened: keyshield audit --summary, or one by one: keyshield audit --since 24h --kind operator\n")
	for _, l := range d.Lines {
		text.WriteString("- " + l.Text + "\n")
	}
	e.Text = cut(strings.TrimSpace(text.String()), maxText)
	kinds := slices.Sorted(maps.Keys(d.Kinds))
	slices.SortStableFunc(kinds, func(a, b string) int { return d.Kinds[b] - d.Kinds[a] })
	for _, kind := range kinds[:min(len(kinds), maxFields)] {
		e.Fields = append(e.Fields, [2]string{kind, fmt.Sprint(d.Kinds[kind])})
	}
	return &notice{ID: rand.Text(), Event: e, Since: now}
}
