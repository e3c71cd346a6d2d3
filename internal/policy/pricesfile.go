package policy

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"keyshield/internal/money"
)

// ParsePrices is the reviewed table with what the operator's PRICES_FILE changes
// and adds, or every problem with the file:
//
//	{
//	  "version": "2026-12-01",
//	  "models": {
//	    "gpt-4o": {"kind": ["chat", "responses"], "input": "2.50", "cached": "1.25", "output": "10"},
//	    "acme-7b": {"kind": ["chat"], "input": 0.1, "written": 0.125, "output": 0.5,
//	      "long": {"from": 272000, "input": 0.2, "written": 0.25, "output": 0.75}}
//	  }
//	}
//
// Prices are dollars per million tokens, as numbers or texts, with at most five
// decimals. Left out, cached means no discount, and written that writing a cache
// has no price (a call that writes one then keeps its charge). From long.from
// prompt tokens on, a whole request costs the long prices, which are never lower.
//
// An entry replaces that very id. An alias goes on costing at least what the
// dearest of its dated snapshots costs, so a lower price has to be given to those
// too. Only moderation may be free.
func ParsePrices(data []byte) (*Table, []error) {
	file, err := readObject(data)
	if err != nil {
		return nil, []error{fmt.Errorf("the file %w", err)}
	}
	var found problems
	found.known("", file, "version", "models")
	version, err := text(file["version"])
	if err != nil || !versionName.MatchString(version) {
		found.add("", "version", errors.New("must be a name for these prices, such as 2026-12-01: letters, digits, dots and dashes, 40 at most"))
	}

	t := Reviewed()
	t.version += "+" + version
	models, err := readObject(file["models"])
	if err != nil {
		found.add("", "models", err)
	}
	for _, id := range models.names() {
		m := found.model(id, models[id])
		if old := t.models[id]; old != nil {
			m.dated = old.dated
		}
		t.models[id] = m
	}
	if found != nil {
		return nil, found
	}
	t.link()
	return t, nil
}

var (
	versionName = regexp.MustCompile(`^[A-Za-z0-9._-]{1,40}$`)
	modelName   = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,127}$`)

	// otherwise is in the names of OpenAI's models that bill for more than the
	// tokens of a text: by search, by second, by picture.
	otherwise = regexp.MustCompile(`(^|-)(search|deep-research|computer|audio|realtime|image|transcribe|tts|whisper|sora)(-|$)`)
)

// model reads one entry.
func (p *problems) model(id string, v jsontext.Value) *priced {
	place := fmt.Sprintf("model %q", short(id))
	switch {
	case !modelName.MatchString(id):
		p.add(place, "", errors.New("is not a model's id"))
	case strings.HasSuffix(id, "-latest"):
		p.add(place, "", errors.New("may become another model at another price any day: name a dated snapshot"))
	case otherwise.MatchString(id):
		p.add(place, "", errors.New("bills for more than the tokens of a text, so no ceiling holds for it"))
	}
	m := &priced{id: id}
	entry, err := readObject(v)
	if err != nil {
		p.add(place, "", err)
		return m
	}
	p.known(place, entry, "kind", "input", "cached", "written", "output", "long")
	m.kinds = p.kindsOf(place, entry["kind"])
	free := slices.Equal(m.kinds, []Kind{Moderations})
	writes := slices.ContainsFunc(m.kinds, Kind.writes)

	only := period{base: p.rates(place, entry, writes, free)}
	if v, ok := entry["long"]; ok {
		p.long(place+", long", v, writes, &only)
	}
	m.periods = []period{only}
	return m
}

func (p *problems) kindsOf(place string, v jsontext.Value) []Kind {
	names, err := list(v)
	if err == nil && len(names) == 0 {
		err = errors.New("must not be empty")
	}
	if err != nil {
		p.add(place, "kind", err)
	}
	var of []Kind
	for _, name := range names {
		if !slices.Contains(kinds, Kind(name)) {
			p.add(place, "kind", fmt.Errorf("%q is unknown: there are %s", short(name), joined(kinds)))
		}
		of = append(of, Kind(name))
	}
	return of
}

func joined[S ~string](names []S) string {
	texts := make([]string, len(names))
	for i, n := range names {
		texts[i] = string(n)
	}
	return strings.Join(texts, ", ")
}

// rates reads the four prices of o.
func (p *problems) rates(place string, o object, writes, free bool) (r rates) {
	for _, f := range []struct {
		name     string
		price    *money.USD
		required bool
	}{
		{"input", &r.input, true},
		{"cached", &r.cached, false},
		{"written", &r.written, false},
		{"output", &r.output, writes},
	} {
		v, ok := o[f.name]
		if !ok {
			if f.required {
				p.add(place, f.name, errors.New("is missing"))
			}
			continue
		}
		price, err := perMillion(v)
		if err == nil && price == 0 && !free {
			err = errors.New("must not be 0: only moderation is free; leave out what has no price")
		}
		if err != nil {
			p.add(place, f.name, err)
		}
		*f.price = price
	}
	return r
}

// long reads the prices of a long context. They must not be lower than the base
// prices: what the ceiling counts on is that more tokens never cost less.
func (p *problems) long(place string, v jsontext.Value, writes bool, to *period) {
	o, err := readObject(v)
	if err != nil {
		p.add(place, "", err)
		return
	}
	p.known(place, o, "from", "input", "cached", "written", "output")
	n, err := whole(o["from"], 1, maxBytes)
	if err != nil {
		p.add(place, "from", err)
	}
	before := len(*p)
	to.longFrom, to.long = n, p.rates(place, o, writes, false)
	if len(*p) == before && !to.long.atLeast(to.base) {
		p.add(place, "", errors.New("has a lower price than a short context, or lacks one that a short context has"))
	}
}

// atLeast reports whether no token is cheaper in r than in s.
func (r rates) atLeast(s rates) bool {
	discounted := func(x rates) money.USD {
		if x.cached == 0 {
			return x.input
		}
		return x.cached
	}
	return r.input >= s.input && discounted(r) >= discounted(s) && r.written >= s.written && r.output >= s.output
}

// grain is what prices are multiples of; see rates.
const grain = money.Dollar / 100_000

// perMillion reads a price.
func perMillion(v jsontext.Value) (money.USD, error) {
	s, err := amount(v)
	if err != nil {
		return 0, err
	}
	price, err := money.Parse(s)
	if err != nil {
		return 0, fmt.Errorf("must be dollars per million tokens: %w", err)
	}
	if price%grain != 0 {
		return 0, fmt.Errorf("%s has more than five decimals", short(s))
	}
	return price, nil
}
