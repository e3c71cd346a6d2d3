package admin

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"keyshield/internal/ledger"
)

// maxGroups bounds the memory of one report. Those who come later are counted
// together.
const maxGroups = 100_000

// grouping makes a list of a report.
type grouping struct {
	by     string
	rows   map[string]*Row
	others Row
}

func newGrouping(by string) *grouping { return &grouping{by: by, rows: map[string]*Row{}} }

func (g *grouping) count(e ledger.Entry) {
	name := e.Model
	switch g.by {
	case ByUser:
		name = e.User.Key
	case ByHour:
		name = e.Hour.Format(time.RFC3339)
	}
	row := g.rows[name]
	if row == nil {
		if len(g.rows) == maxGroups {
			row = &g.others // whom it sums up is not counted: it may be one of them again
			row.Others = max(row.Others, 1)
		} else {
			row = g.fresh(e)
			g.rows[name] = row
		}
	}
	row.Add(tallyOf(e.Tally))
}

func (g *grouping) fresh(e ledger.Entry) *Row {
	switch g.by {
	case ByUser:
		return &Row{Person: personOf(e.User)}
	case ByHour:
		return &Row{Hour: &e.Hour}
	}
	return &Row{Model: e.Model}
}

// list is hours in their order, else the dearest first, and the rest in one row.
func (g *grouping) list(top int) []Row {
	all := make([]Row, 0, len(g.rows))
	for _, row := range g.rows {
		all = append(all, *row)
	}
	slices.SortFunc(all, func(a, b Row) int {
		if g.by == ByHour {
			return a.Hour.Compare(*b.Hour)
		}
		return cmp.Or(cmp.Compare(b.Charged(), a.Charged()), cmp.Compare(b.Requests, a.Requests),
			strings.Compare(a.Model, b.Model), strings.Compare(a.ID, b.ID), strings.Compare(a.Key, b.Key))
	})
	others := g.others
	if top > 0 && len(all) > top {
		for _, row := range all[top:] {
			others.Add(row.Tally)
			others.Others++
		}
		all = all[:top]
	}
	if others.Others > 0 {
		all = append(all, others)
	}
	return all
}
