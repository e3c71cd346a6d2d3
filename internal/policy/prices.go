package policy

import (
	"errors"
	"maps"
	"slices"
	"time"

	"keyshield/internal/money"
)

//go:generate go test -run=^TestPriceTableIsWhatTheDataSays$ . -update

// Kind is what a model is asked to do; it is priced per kind.
type Kind string

// The kinds, named like the endpoints. The text API asks for Chat.
const (
	Chat        Kind = "chat"
	Responses   Kind = "responses"
	Embeddings  Kind = "embeddings"
	Moderations Kind = "moderations"
)

var kinds = []Kind{Chat, Responses, Embeddings, Moderations}

// writes reports whether a model of this kind writes tokens that are billed.
func (k Kind) writes() bool { return k == Chat || k == Responses }

// ErrUnpriced refuses a request: nobody has reviewed what the model would cost.
var ErrUnpriced = errors.New("model has no reviewed price")

// Table is what models cost. Reviewed and ParsePrices make one; it never changes.
//
// An id has a price when it is listed, or when it is a dated snapshot of a model
// whose every snapshot costs the same. Nothing is guessed from a prefix.
type Table struct {
	version string
	models  map[string]*priced
}

// priced is a model with its price. The prices of an alias and of its snapshots
// are kept apart: which of them counts depends on who answered.
type priced struct {
	id        string
	kinds     []Kind
	dated     bool     // any snapshot of it costs the same
	periods   []period // by date, never empty
	snapshots []*priced
}

// period is a price and the day from which it holds, in UTC.
type period struct {
	from     time.Time
	base     rates
	longFrom int64 // from this many prompt tokens on, all of a request costs long; 0: never
	long     rates
}

// rates are dollars per million tokens. cached 0 means no discount; written 0
// means that writing a cache has no price of its own.
//
// They have at most five decimals (perMillion checks it), so that a multiplier in
// thousandths and half of that are still whole nano-dollars: no price is ever
// rounded, and a request only once.
type rates struct{ input, cached, written, output money.USD }

// dearest is the most that one prompt token can cost.
func (r rates) dearest() money.USD { return max(r.input, r.cached, r.written) }

// Reviewed is the table that keyshield comes with.
func Reviewed() *Table {
	t := &Table{version: reviewedVersion, models: make(map[string]*priced, len(reviewed))}
	for _, m := range reviewed {
		t.models[m.id] = &m
	}
	t.link()
	return t
}

// Version names the prices, for the books.
func (t *Table) Version() string { return t.version }

// Knows reports whether model has a price for kind.
func (t *Table) Knows(model string, kind Kind) bool { return t.find(model, kind) != nil }

// free are the models that cost nothing, in the order of their names.
func (t *Table) free() []string {
	var ids []string
	costs := func(p period) bool { return p.base != rates{} || p.long != rates{} }
	for _, id := range slices.Sorted(maps.Keys(t.models)) {
		if !slices.ContainsFunc(t.models[id].periods, costs) {
			ids = append(ids, id)
		}
	}
	return ids
}

func (t *Table) find(id string, kind Kind) *priced {
	m := t.models[id]
	if m == nil {
		m = t.models[withoutDate(id)]
		if m == nil || !m.dated {
			return nil
		}
	}
	if !slices.Contains(m.kinds, kind) {
		return nil
	}
	return m
}

// link tells every alias its snapshots.
func (t *Table) link() {
	for _, m := range t.models {
		m.snapshots = nil
	}
	for _, m := range t.models {
		if alias := t.models[aliasOf(m.id)]; alias != nil {
			alias.snapshots = append(alias.snapshots, m)
		}
	}
}

// aliasOf cuts the date off a snapshot's id: -2024-11-20, or -0613 as the first
// models had it. It is "" for what is no snapshot.
func aliasOf(id string) string {
	if alias := withoutDate(id); alias != id {
		return alias
	}
	cut := len(id) - len("-0613")
	if cut <= 0 {
		return ""
	}
	if _, err := time.Parse("-0102", id[cut:]); err != nil {
		return ""
	}
	return id[:cut]
}

// uncertain is how far from a change of prices both still count: the price file
// names a day, not an hour nor a time zone.
const uncertain = 24 * time.Hour

// own calls what with every price that may hold at this time for so many prompt
// tokens: one, or more around a change.
func (m *priced) own(at time.Time, prompt int64, what func(rates)) {
	for i, p := range m.periods {
		if at.Before(p.from.Add(-uncertain)) {
			return
		}
		if i+1 < len(m.periods) && at.After(m.periods[i+1].from.Add(uncertain)) {
			continue
		}
		if p.longFrom > 0 && prompt >= p.longFrom {
			what(p.long)
		} else {
			what(p.base)
		}
	}
}

// all is own, for an alias with each of its snapshots: nobody knows which of
// them it stands for today.
func (m *priced) all(at time.Time, prompt int64, what func(rates)) {
	m.own(at, prompt, what)
	for _, s := range m.snapshots {
		s.own(at, prompt, what)
	}
}
