package main

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"keyshield/internal/admin"
	"keyshield/internal/audit"
)

// summary answers "what happened": `keyshield audit --summary`, whose --json it is.
type summary struct {
	From    time.Time `json:"from"`
	To      time.Time `json:"to"`
	Running bool      `json:"running"` // a server runs; else this was read from its files
	NoLog   bool      `json:"no_audit_log,omitempty"`

	Requests  int64                       `json:"requests"`  // of known callers
	Outcomes  map[string]int64            `json:"outcomes"`  // ok, refused, failed, client_gone, unknown
	Codes     map[string]map[string]int64 `json:"codes"`     // by outcome
	Strangers map[string]int64            `json:"strangers"` // refused before anybody knew who asked, by code

	Users     int           `json:"users"`
	Proven    admin.NanoUSD `json:"proven_nanousd"`
	AtCeiling admin.NanoUSD `json:"charged_at_ceiling_nanousd"`
	Spenders  []spender     `json:"top_spenders"`
	Refused   []spender     `json:"top_refused"`

	Switches []audit.Record `json:"switches"` // disabled and enabled
	Keys     []audit.Record `json:"keys"`
	Unusual  []audit.Record `json:"unusual"`  // what the watch has told of
	Acts     []audit.Record `json:"operator"` // what else an operator did
	Starts   int64          `json:"starts"`
	Crashes  int64          `json:"crashes"` // starts after which no stop was written
	Lost     int64          `json:"lost"`    // records that could not be written
	Omitted  int64          `json:"omitted,omitempty"`

	Unreadable int `json:"unreadable,omitempty"` // lines of the log that are damaged, and not counted here

	Day       admin.Account           `json:"day"`
	Month     admin.Account           `json:"month"`
	Stopped   []admin.Stop            `json:"stopped"` // now
	Overview  *admin.Overview         `json:"overview,omitempty"`
	Reconcile *admin.ReconcileSummary `json:"reconcile,omitempty"`

	people map[string]*spender
	up     bool // the last start has no stop yet
}

// spender is what one user did.
type spender struct {
	admin.Person
	Requests  int64         `json:"requests"`
	Refused   int64         `json:"refused"`
	Proven    admin.NanoUSD `json:"proven_nanousd"`
	AtCeiling admin.NanoUSD `json:"charged_at_ceiling_nanousd"`
}

func (s *spender) spent() admin.NanoUSD { return s.Proven + s.AtCeiling }

const (
	topSpenders = 5
	mostActs    = 1000   // of each list, so that a script's ten thousand switches do no harm
	mostPeople  = 100000 // who are told apart
)

// tell prints a summary.
func (a *auditing) tell(ctx context.Context, d desk, p process) (int, error) {
	s, err := summarize(ctx, d, a.query)
	if err != nil {
		return exitFailed, err
	}
	if a.json {
		return exitOK, printJSON(p.stdout, s)
	}
	return exitOK, s.show(p.stdout, time.Now(), a.server)
}

// summarize reads the audit log once, and asks where things stand now.
func summarize(ctx context.Context, d desk, q admin.AuditQuery) (*summary, error) {
	s := &summary{
		From: q.From, To: q.To, Running: runs(d), people: map[string]*spender{},
		Outcomes: map[string]int64{}, Codes: map[string]map[string]int64{}, Strangers: map[string]int64{},
		Switches: []audit.Record{}, Keys: []audit.Record{}, Unusual: []audit.Record{}, Acts: []audit.Record{},
	}
	if s.To.IsZero() {
		s.To = time.Now().UTC().Truncate(time.Second)
	}
	unreadable, err := readRecords(ctx, d, q, s.count)
	s.Unreadable = unreadable
	if told, ok := errors.AsType[*admin.Refusal](err); ok && told.Code == "no_audit_log" {
		s.NoLog, err = true, nil
	}
	if err != nil {
		return nil, err
	}
	s.rank()
	now, err := d.Usage(ctx, admin.UsageQuery{Day: true})
	if err != nil {
		return nil, err
	}
	s.Running, s.Day, s.Month, s.Stopped = now.Running, now.Day, now.Month, now.Stopped
	if s.Running {
		all, err := d.Overview(ctx)
		if err != nil {
			return nil, err
		}
		s.Overview = &all
	} else if q.To.IsZero() && !s.NoLog {
		died, err := endedSilently(ctx, d)
		if err != nil {
			return nil, err
		}
		if died {
			s.Crashes++
		}
	}
	compared, err := d.LastReconcile(ctx)
	s.Reconcile = compared.Last
	return s, err
}

// endedSilently says whether the last server, which does not run any more, has left no
// stop behind. Its start may lie before what is summed up.
func endedSilently(ctx context.Context, d desk) (bool, error) {
	newest := func(kind audit.Kind) (int64, error) {
		last, err := d.Audit(ctx, admin.AuditQuery{Kind: string(kind), Limit: 1})
		if err != nil || len(last.Records) == 0 {
			return 0, err
		}
		return last.Records[0].Seq, nil
	}
	start, err := newest(audit.Start)
	if err != nil {
		return false, err
	}
	stop, err := newest(audit.Stop)
	return start > stop, err
}

// count takes one record in. They come oldest first.
func (s *summary) count(r audit.Record) {
	switch r.Kind {
	case audit.Request:
		s.request(r)
	case audit.Refused:
		s.Strangers[r.Code] += r.Count
	case audit.Lost:
		s.Lost += r.Count
	case audit.Start:
		if s.Starts++; s.up {
			s.Crashes++
		}
		s.up = true
	case audit.Stop:
		s.up = false
	case audit.Operator:
		list := &s.Acts
		switch {
		case r.Action == "disable" || r.Action == "enable":
			list = &s.Switches
		case strings.HasPrefix(r.Action, "key_"):
			list = &s.Keys
		case r.Action == "spike":
			list = &s.Unusual // among what operators did it would hide that
		}
		if len(*list) == mostActs {
			s.Omitted++
			return
		}
		*list = append(*list, r)
	}
}

func (s *summary) request(r audit.Record) {
	n := max(1, r.Count) // a line may stand for many that were turned away
	s.Requests += n
	s.Outcomes[r.Outcome] += n
	if r.Outcome != audit.OK && r.Code != "" {
		if s.Codes[r.Outcome] == nil {
			s.Codes[r.Outcome] = map[string]int64{}
		}
		s.Codes[r.Outcome][r.Code] += n
	}
	s.Proven += admin.NanoUSD(r.Cost)
	s.AtCeiling += admin.NanoUSD(r.AtCeiling)
	key := cmp.Or(r.UserKey, r.Issuer+"\x00"+r.User)
	one := s.people[key]
	if one == nil {
		if len(s.people) == mostPeople {
			return
		}
		one = &spender{Person: admin.Person{ID: r.User, Issuer: r.Issuer, Key: r.UserKey}}
		s.people[key] = one
	}
	one.Requests += n
	if r.Outcome == audit.Denied {
		one.Refused += n
	}
	one.Proven += admin.NanoUSD(r.Cost)
	one.AtCeiling += admin.NanoUSD(r.AtCeiling)
}

// rank finds those who spent most, and those who were refused most.
func (s *summary) rank() {
	s.Users = len(s.people)
	top := func(of func(*spender) int64) []spender {
		all := slices.SortedFunc(maps.Values(s.people), func(a, b *spender) int {
			return cmp.Or(cmp.Compare(of(b), of(a)), cmp.Compare(b.Requests, a.Requests), cmp.Compare(a.ID, b.ID), cmp.Compare(a.Key, b.Key))
		})
		list := []spender{}
		for _, one := range all[:min(len(all), topSpenders)] {
			if of(one) > 0 {
				list = append(list, *one)
			}
		}
		return list
	}
	s.Spenders = top(func(one *spender) int64 { return int64(one.spent()) })
	s.Refused = top(func(one *spender) int64 { return one.Refused })
}
