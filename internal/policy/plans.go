package policy

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"keyshield/internal/money"
)

// Plan is what a caller may use. The zero Plan allows nothing, except that the
// zero Rate is no limit.
type Plan struct {
	Name      string
	Requests  Rate
	Streams   int       // at once; Unlimited is none
	Endpoints []string  // not to be changed, as the other lists
	UserDay   money.USD // what one user may spend in a day; NoCap is as much as all together
	UserMonth money.USD

	// On the text API.
	TextModel    string // who answers; "" when the plan's own models leave out the operator's
	PromptChars  int
	OutputTokens int

	// On /v1.
	Models         []string // exact ids
	OutputTokensV1 int
	SystemMessages bool     // clients may send their own, of the roles system and developer
	LogProbs       bool     // and be told how likely each token was
	ServiceTiers   []string // besides the default one
}

// TextEndpoint is the text API's name in ENDPOINTS and in plans. Those of /v1 are
// named like the kinds.
const TextEndpoint = "text"

// Endpoints are the names of all there are.
func Endpoints() []string {
	names := []string{TextEndpoint}
	for _, k := range kinds {
		names = append(names, string(k))
	}
	return names
}

// No limit, said in full ("off"). As numbers they are larger than any.
const (
	Unlimited = math.MaxInt
	NoCap     = money.USD(math.MaxInt64)
)

// Rate is a number of requests per period: limit's Rate, by its own name here, so
// that policy need not know how requests are counted.
type Rate struct {
	Count  int
	Period time.Duration
}

// MayUse reports whether the plan opens an endpoint.
func (p Plan) MayUse(endpoint string) bool { return slices.Contains(p.Endpoints, endpoint) }

// MayAsk reports whether the plan allows a model on /v1.
func (p Plan) MayAsk(model string) bool { return slices.Contains(p.Models, model) }

// MayTier reports whether the plan opens a service tier besides the default one,
// which needs no plan.
func (p Plan) MayTier(tier string) bool { return slices.Contains(p.ServiceTiers, tier) }

// WithFree adds the models that cost nothing, which need not be listed, to a plan
// that has the endpoint of moderations: only those may be free.
func (p Plan) WithFree(t *Table) Plan {
	if !p.MayUse(string(Moderations)) {
		return p
	}
	p.Models = slices.Clone(p.Models)
	for _, id := range t.free() {
		if !p.MayAsk(id) {
			p.Models = append(p.Models, id)
		}
	}
	return p
}

// Defaults are what plans stand on.
type Defaults struct {
	Plan        Plan                       // the environment's; its Endpoints are all that are open, its TextModel the operator's
	Prices      *Table                     // a plan's models must be in it
	LeastOutput int                        // of OutputTokens: 1024 where a model reasons first, which counts
	ParseRate   func(string) (Rate, error) // reads "100/1h" and "off", as everywhere
}

// Plans are the plans by the value of the token's plan claim.
type Plans struct {
	byName   map[string]Plan
	standard Plan
}

// DefaultName is the plan of a token that names none, or one that is not here.
const DefaultName = "default"

// NewPlans is everyone on one plan, for a server without PLANS_FILE.
func NewPlans(p Plan) Plans {
	p.Name = DefaultName
	return Plans{standard: p}
}

// For is the plan of a claim. A plan nobody has written gets the default, never
// more.
func (p Plans) For(claim string) Plan {
	if plan, ok := p.byName[claim]; ok {
		return plan
	}
	return p.standard
}

// AskedModels are the models of all plans, each once, in the order of their names.
func (p Plans) AskedModels() []string {
	var all []string
	for _, plan := range append(slices.Collect(maps.Values(p.byName)), p.standard) {
		all = append(all, plan.Models...)
		if plan.TextModel != "" {
			all = append(all, plan.TextModel)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// ParsePlans reads PLANS_FILE, or reports every problem with it:
//
//	{
//	  "default": {"requests": "20/1h", "budget_day": "0.10"},
//	  "pro": {"requests": "1000/1h", "streams": 20, "models": ["gpt-6-luna", "gpt-6-sol"], "prompt_chars": 8000,
//	    "output_tokens": 2048, "output_tokens_v1": 16000, "system_messages": false, "logprobs": true,
//	    "service_tiers": ["flex"], "budget_day": "5", "budget_month": "off"},
//	  "suspended": {"endpoints": []}
//	}
//
// What a plan leaves out is as the environment has it. A plan's own models are all
// that it has: the text API's, if they leave it out, is not among them.
func ParsePlans(data []byte, d Defaults) (Plans, []error) {
	plans := NewPlans(d.Plan)
	file, err := readObject(data)
	if err != nil {
		return plans, []error{fmt.Errorf("the file %w", err)}
	}
	var found problems
	plans.byName = make(map[string]Plan, len(file))
	for _, name := range file.names() {
		place := fmt.Sprintf("plan %q", short(name))
		if !planName.MatchString(name) {
			found.add(place, "", errors.New("is not a plan's name: 1 to 64 letters, digits, dots, colons, dashes and underscores"))
		}
		plan := d.Plan
		plan.Name = name
		found.plan(place, file[name], d, &plan)
		plans.byName[name] = plan.WithFree(d.Prices)
	}
	if found != nil {
		return NewPlans(d.Plan), found
	}
	if plan, ok := plans.byName[DefaultName]; ok {
		plans.standard = plan
	}
	return plans, nil
}

var planName = regexp.MustCompile(`^[A-Za-z0-9._:-]{1,64}$`)

// plan reads one plan over what p holds.
func (found *problems) plan(place string, v jsontext.Value, d Defaults, p *Plan) {
	o, err := readObject(v)
	if err != nil {
		found.add(place, "", err)
		return
	}
	members := p.members(d)
	ours := make([]string, len(members))
	for i, m := range members {
		ours[i] = m.name
		if v, ok := o[m.name]; ok {
			if err := m.read(v); err != nil {
				found.add(place, m.name, err)
			}
		}
	}
	found.known(place, o, ours...)
}

// leastOutputV1 is the smallest limit that OpenAI takes on every endpoint.
const leastOutputV1 = 16

// planTiers are the service tiers that need a plan. The default one needs none; auto is
// whatever the project at OpenAI is set to, and scale is sold by contract.
var planTiers = []string{"flex", "priority", "fast"}

type member struct {
	name string
	read func(jsontext.Value) error
}

func (p *Plan) members(d Defaults) []member {
	return []member{
		{"requests", func(v jsontext.Value) (err error) {
			s, err := text(v)
			if err == nil {
				p.Requests, err = d.ParseRate(s)
			}
			return err
		}},
		{"streams", func(v jsontext.Value) error {
			if off(v) {
				p.Streams = Unlimited
				return nil
			}
			return integer(v, &p.Streams, 1, 100_000, ", or \"off\"")
		}},
		{"endpoints", func(v jsontext.Value) (err error) {
			p.Endpoints, err = list(v)
			for _, e := range p.Endpoints {
				if !d.Plan.MayUse(e) {
					return fmt.Errorf("%q is not open on this server: ENDPOINTS is %s", short(e), joined(d.Plan.Endpoints))
				}
			}
			return err
		}},
		{"models", func(v jsontext.Value) (err error) {
			p.Models, err = list(v)
			if !p.MayAsk(p.TextModel) {
				p.TextModel = ""
			}
			for _, m := range p.Models {
				if !slices.ContainsFunc(kinds, func(k Kind) bool { return d.Prices.Knows(m, k) }) {
					return fmt.Errorf("%q has no reviewed price: write its exact id, or give it one in PRICES_FILE", short(m))
				}
			}
			return err
		}},
		{"output_tokens_v1", func(v jsontext.Value) error { return integer(v, &p.OutputTokensV1, leastOutputV1, 128_000, "") }},
		{"system_messages", func(v jsontext.Value) error { return boolean(v, &p.SystemMessages) }},
		{"logprobs", func(v jsontext.Value) error { return boolean(v, &p.LogProbs) }},
		{"service_tiers", func(v jsontext.Value) (err error) {
			p.ServiceTiers, err = serviceTiers(v)
			return err
		}},
		{"prompt_chars", func(v jsontext.Value) error { return integer(v, &p.PromptChars, 1, 1_000_000, "") }},
		{"output_tokens", func(v jsontext.Value) error {
			why := ""
			if d.LeastOutput > 1 {
				why = ": the model reasons first, which counts"
			}
			return integer(v, &p.OutputTokens, max(1, d.LeastOutput), 128_000, why)
		}},
		{"budget_day", func(v jsontext.Value) error { return budget(v, &p.UserDay) }},
		{"budget_month", func(v jsontext.Value) error { return budget(v, &p.UserMonth) }},
	}
}

func serviceTiers(v jsontext.Value) ([]string, error) {
	named, err := list(v)
	for _, tier := range named {
		if !slices.Contains(planTiers, tier) {
			return nil, fmt.Errorf("%q is none that a plan can open: there are %s", short(tier), joined(planTiers))
		}
	}
	return named, err
}

func boolean(v jsontext.Value, to *bool) error {
	if k := v.Kind(); k != 't' && k != 'f' {
		return fmt.Errorf("must be true or false, not %s", short(string(v)))
	}
	*to = v.Kind() == 't'
	return nil
}

func off(v jsontext.Value) bool { s, err := text(v); return err == nil && s == "off" }

// integer reads a whole number into to; more ends the sentence that says what is
// right.
func integer(v jsontext.Value, to *int, least, most int, more string) error {
	n, err := whole(v, int64(least), int64(most))
	if err != nil {
		return fmt.Errorf("%w%s", err, more)
	}
	*to = int(n)
	return nil
}

// whole reads a whole number from least to most.
func whole(v jsontext.Value, least, most int64) (int64, error) {
	if v.Kind() == '0' {
		if n, err := strconv.ParseInt(string(v), 10, 64); err == nil && n >= least && n <= most {
			return n, nil
		}
	}
	return 0, fmt.Errorf("must be a whole number from %d to %d", least, most)
}

func budget(v jsontext.Value, to *money.USD) error {
	if off(v) {
		*to = NoCap
		return nil
	}
	s, err := amount(v)
	if err != nil {
		return err
	}
	n, err := money.Parse(s)
	if err == nil && n == 0 {
		err = errors.New(`must be more than $0; for no cap write "off", and a plan that may ask nothing has "endpoints": []`)
	}
	*to = n
	return err
}
