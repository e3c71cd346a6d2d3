package admin

import (
	"cmp"
	"math"
	"strings"
	"time"

	"keyshield/internal/audit"
	"keyshield/internal/ledger"
	"keyshield/internal/money"
)

// What goes over the wire, and what `--json` prints. Members keep their names and
// meanings; there may be more of them one day. Amounts are whole nano-dollars
// (…_nanousd), times are RFC 3339 in UTC, durations are milliseconds (…_ms) or, where
// an operator says them, as in "1h30m".

// NanoUSD is an amount in nano-dollars, and in JSON a whole number of them: the
// ledger's own unit, so that nothing is lost on the way. 1_000_000_000 is a dollar.
type NanoUSD int64

func (n NanoUSD) String() string { return money.USD(n).String() }

// Account is one sum in one window. Used = Proven + AtCeiling + Seeded + Open.
type Account struct {
	Window string    `json:"window"` // "2026-11-21" or "2026-11"
	Start  time.Time `json:"start"`
	End    time.Time `json:"end"`
	Used   NanoUSD   `json:"used_nanousd"`
	Open   NanoUSD   `json:"open_nanousd"` // held by calls under way; part of it comes back
	Seeded NanoUSD   `json:"seeded_nanousd,omitempty"`
	Cap    *NanoUSD  `json:"cap_nanousd"` // null: none
	Left   *NanoUSD  `json:"left_nanousd"`
	Tally
}

// Tally counts calls that have ended.
type Tally struct {
	Requests  int64   `json:"requests"`
	Input     int64   `json:"input_tokens"`
	Cached    int64   `json:"cached_tokens"`      // of the input
	Written   int64   `json:"cache_write_tokens"` // of the input
	Output    int64   `json:"output_tokens"`
	Reasoning int64   `json:"reasoning_tokens"` // of the output
	Proven    NanoUSD `json:"proven_nanousd"`
	Unproven  int64   `json:"unproven"` // calls without proof of their cost; their tokens are not known
	AtCeiling NanoUSD `json:"charged_at_ceiling_nanousd"`
}

func tallyOf(t ledger.Tally) Tally {
	return Tally{
		Requests: t.Requests, Input: t.Input, Cached: t.Cached, Written: t.Written, Output: t.Output, Reasoning: t.Reasoning,
		Proven: NanoUSD(t.Cost), Unproven: t.Unproven, AtCeiling: NanoUSD(t.AtCeiling),
	}
}

// Charged is what the calls came to.
func (t Tally) Charged() NanoUSD { return sum(t.Proven, t.AtCeiling) }

// Add counts more.
func (t *Tally) Add(more Tally) {
	t.Requests = sum(t.Requests, more.Requests)
	t.Input = sum(t.Input, more.Input)
	t.Cached = sum(t.Cached, more.Cached)
	t.Written = sum(t.Written, more.Written)
	t.Output = sum(t.Output, more.Output)
	t.Reasoning = sum(t.Reasoning, more.Reasoning)
	t.Proven = sum(t.Proven, more.Proven)
	t.Unproven = sum(t.Unproven, more.Unproven)
	t.AtCeiling = sum(t.AtCeiling, more.AtCeiling)
}

// sum stops at the largest number there is. Neither part is negative.
func sum[N ~int64](a, b N) N {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

// Row is a line of a list: what it is about, and the calls.
type Row struct {
	Person
	Model  string     `json:"model,omitempty"`
	Hour   *time.Time `json:"hour,omitempty"`
	Others int        `json:"others,omitempty"` // this row sums up as many that are not listed
	Tally
}

// Person is a user, by the name that the token gave.
type Person struct {
	ID     string `json:"user,omitempty"`
	Issuer string `json:"issuer,omitempty"`
	Key    string `json:"user_key,omitempty"` // the pseudonym that OpenAI sees
}

func personOf(u ledger.User) Person { return Person{ID: u.ID, Issuer: u.Issuer, Key: u.Key} }

// Is says whether the name is the person's id or pseudonym.
func (p Person) Is(name string) bool { return name == p.ID || name == p.Key }

// Target names the person as the audit log does: the id for whoever reads, and the
// pseudonym for whoever must know which of several that is.
func (p Person) Target() string {
	const longest = 150 // bytes: a target is cut at 256
	id := p.ID
	switch {
	case id == "" || p.Key == "":
		return "user:" + cmp.Or(id, p.Key)
	case p.Key == ledger.AnyIssuer(id):
		return "user:" + id + " (of any issuer)"
	case len(id) > longest:
		id = strings.ToValidUTF8(id[:longest], "") + "…"
	}
	return "user:" + id + " (key " + p.Key + ")"
}

// Stop is a user, a model or everything that may not ask: after overshoots, or
// because somebody said so.
type Stop struct {
	Person
	Model      string     `json:"model,omitempty"`
	Everything bool       `json:"everything,omitempty"`
	Since      time.Time  `json:"since"`
	Until      *time.Time `json:"until,omitempty"` // absent: until enabled
	By         string     `json:"by,omitempty"`    // overshoot, cli, admin <address>, watch
	Why        string     `json:"why,omitempty"`
	Over       NanoUSD    `json:"over_nanousd"` // by how much the ceilings were passed
}

// UserStanding is where one user stands. The caps of a user are those of the plan
// that each token names, so there are none here.
type UserStanding struct {
	Person
	Day   Account `json:"day"`
	Month Account `json:"month"`
	Stop  *Stop   `json:"stop,omitempty"`
}

// Overview is GET overview: everything at a glance.
type Overview struct {
	Version  string    `json:"version"`
	At       time.Time `json:"at"`
	Since    time.Time `json:"since"` // the server's start, from which on it counts what is not money
	Day      Account   `json:"day"`
	Month    Account   `json:"month"`
	Pace     Pace      `json:"pace"`
	Traffic  Traffic   `json:"traffic"`
	Degraded []string  `json:"degraded"` // what is wrong, in sentences; empty: nothing
	Ledger   Health    `json:"ledger"`
	Audit    Health    `json:"audit"`
	Breaker  string    `json:"breaker"` // closed, open, half-open, off
	Keys     []Key     `json:"keys"`
	Alerts   []Alert   `json:"alerts"`
	Stopped  []Stop    `json:"stopped"`
}

// Pace is where the month's spending leads to if it goes on as it did so far.
type Pace struct {
	PerDay NanoUSD    `json:"per_day_nanousd"`
	Month  NanoUSD    `json:"month_nanousd"`         // what the whole month would come to
	UsedUp *time.Time `json:"cap_used_up,omitempty"` // when the month's cap would be; absent: not in this month, or there is no cap
}

// Traffic is what was asked since the server's start.
type Traffic struct {
	Requests map[string]int64 `json:"requests"` // by outcome: ok, refused, failed, client_gone
	Refusals map[string]int64 `json:"refusals"` // by code
	InFlight int64            `json:"in_flight"`
	Streams  int64            `json:"streams"`
	Added    AddedLatency     `json:"added_latency"`
}

// AddedLatency is what this server adds to OpenAI's own time, in milliseconds.
type AddedLatency struct {
	Count int64   `json:"count"`
	P50   float64 `json:"p50_ms"`
	P95   float64 `json:"p95_ms"`
	P99   float64 `json:"p99_ms"`
}

// Health is whether a part works, and why not.
type Health struct {
	OK  bool   `json:"ok"`
	Why string `json:"why,omitempty"`
}

// UsersQuery says which users to list.
type UsersQuery struct {
	Search        string // part of an id, or a pseudonym
	Sort          string // used_day, used_month, requests_day, requests_month, id; "" is used_month
	Desc          bool
	Offset, Limit int // 0 is 50, at most 1000
}

// UserList is GET users: a page of those who asked something this month.
type UserList struct {
	Total  int            `json:"total"` // on all pages
	Offset int            `json:"offset"`
	Users  []UserStanding `json:"users"`
}

// UserDetail is GET users/{name}: one user. A name that several have is refused,
// with their keys.
type UserDetail struct {
	UserStanding
	From    time.Time      `json:"from"` // what the two lists cover
	To      time.Time      `json:"to"`
	ByHour  []Row          `json:"by_hour"`
	ByModel []Row          `json:"by_model"`
	Records []audit.Record `json:"records"` // the newest first
}

// Key is one of OpenAI's keys, of which nothing is told but its fingerprint.
type Key struct {
	Fingerprint   string     `json:"fingerprint"`
	Source        string     `json:"source"`
	State         string     `json:"state"`           // active, standby, quarantined
	Since         *time.Time `json:"since,omitempty"` // absent: not known
	QuarantinedAt *time.Time `json:"quarantined_at,omitempty"`
	Why           string     `json:"why,omitempty"` // in quarantine
	LastUsed      *time.Time `json:"last_used,omitempty"`
}

// KeyList is GET keys, and the answer to POST keys/reload.
type KeyList struct {
	Keys []Key `json:"keys"`
}

// Setting is one setting that is in force. A secret's value is never here.
type Setting struct {
	Group  string `json:"group"`
	Name   string `json:"name"`
	Value  string `json:"value"`
	Source string `json:"source"` // environment, .env, default, file <NAME>_FILE
	Note   string `json:"note,omitempty"`
}

// SettingList is GET settings.
type SettingList struct {
	Settings []Setting `json:"settings"`
}

// SwitchList is GET switches: who and what may not ask.
type SwitchList struct {
	Stopped []Stop `json:"stopped"`
}

// DisableRequest is the body of POST disable: either User, or Everything.
type DisableRequest struct {
	User       string `json:"user,omitempty"`   // id or pseudonym
	Issuer     string `json:"issuer,omitempty"` // whose User it is, or NoIssuer; needed if several have the name, or nobody has been seen and JWT_ISSUER is not set
	Everything bool   `json:"everything,omitempty"`
	For        string `json:"for,omitempty"` // "1h30m"; absent: until enabled
	Why        string `json:"why,omitempty"`
}

// DisableAnswer is what came of it. Disabled is null if it was lifted already. A name
// that several have is refused, with all of them.
type DisableAnswer struct {
	Disabled *Stop `json:"disabled"`
	Seen     bool  `json:"seen"` // the user has asked something before; else the id may be mistyped
}

// EnableRequest is the body of POST enable: one of User, Model and Everything.
type EnableRequest struct {
	User       string `json:"user,omitempty"`
	Issuer     string `json:"issuer,omitempty"`
	Model      string `json:"model,omitempty"`
	Everything bool   `json:"everything,omitempty"`
	Why        string `json:"why,omitempty"`
}

// EnableAnswer is what came of it. What was not stopped is refused, and so is a name
// that several have.
type EnableAnswer struct {
	Enabled Stop   `json:"enabled"`
	Stopped []Stop `json:"stopped"` // still
}

// Alert is one place that alerts go to.
type Alert struct {
	Receiver string     `json:"receiver"`          // slack, webhook, email:<address>
	Address  string     `json:"address,omitempty"` // without what is secret in it
	OK       bool       `json:"ok"`
	Why      string     `json:"why,omitempty"`           // it does not work
	Failing  *time.Time `json:"failing_since,omitempty"` //
	LastSent *time.Time `json:"last_sent,omitempty"`
	Pending  int        `json:"pending"`           // events that wait to be delivered, also those that are told together
	Sent     int64      `json:"sent"`              // since the start
	Failed   int64      `json:"failed"`            // tries
	Dropped  int64      `json:"dropped"`           // given up after a day
	Took     float64    `json:"took_ms,omitempty"` // by a test
}

// AlertTest is the answer to POST alerts/test.
type AlertTest struct {
	Alerts []Alert `json:"alerts"`
}

// SeedRequest is the body of POST seed: what OpenAI's own books say was spent, at
// least, in the month and on the day (UTC) in which they were asked.
type SeedRequest struct {
	At    time.Time `json:"at"`
	Month NanoUSD   `json:"month_nanousd"`
	Day   NanoUSD   `json:"day_nanousd,omitempty"`
	Why   string    `json:"why,omitempty"`
}

// SeedAnswer is where everything stands after it.
type SeedAnswer struct {
	Day   Account `json:"day"`
	Month Account `json:"month"`
}

// ReconcileReport is the body of POST reconcile: OpenAI's books beside ours.
type ReconcileReport struct {
	Project   string         `json:"project,omitempty"` // OpenAI's id of whose books they are
	From      time.Time      `json:"from"`
	To        time.Time      `json:"to"`
	Ours      NanoUSD        `json:"ours_nanousd"` // proven and charged at the ceiling
	Theirs    NanoUSD        `json:"theirs_nanousd"`
	Tolerance NanoUSD        `json:"tolerance_nanousd"` // what may differ: their books are late
	Days      []ReconcileDay `json:"days,omitempty"`
}

// ReconcileDay is one day of it.
type ReconcileDay struct {
	Day    string  `json:"day"` // "2026-11-21"
	Ours   NanoUSD `json:"ours_nanousd"`
	Theirs NanoUSD `json:"theirs_nanousd"`
}

// ReconcileSummary is the answer to POST reconcile, and GET reconcile: the last
// report, and what it means. A key that is used elsewhere stays the last one until an
// agreement takes it back.
type ReconcileSummary struct {
	ReconcileReport
	At        time.Time `json:"at"`
	By        string    `json:"by"`
	Verdict   string    `json:"verdict"`           // agrees, key_used_elsewhere
	Elsewhere NanoUSD   `json:"elsewhere_nanousd"` // what OpenAI counted more than we did; 0 within the tolerance
}

// The verdicts.
const (
	Agrees           = "agrees"
	KeyUsedElsewhere = "key_used_elsewhere"
)

// LastReconcile is GET reconcile; null: there was none yet.
type LastReconcile struct {
	Last *ReconcileSummary `json:"last"`
}

// WhoAmI is GET whoami: how this server sees whoever asks.
type WhoAmI struct {
	Peer         string              `json:"peer"`          // of the TCP connection; "" over the socket
	Address      string              `json:"address"`       // what it counts under; "" if that is not known
	TrustedProxy string              `json:"trusted_proxy"` // the setting in force
	Headers      map[string][]string `json:"headers"`       // that proxies say addresses in, as received
	Fits         []Fit               `json:"fits"`          // what TRUSTED_PROXY could be, and whom it would see
	Advice       string              `json:"advice"`
}

// Fit is a line that TRUSTED_PROXY could be, and the address that you would count
// under: the right one shows your own.
type Fit struct {
	TrustedProxy string `json:"trusted_proxy"`
	Address      string `json:"address"`
	InForce      bool   `json:"in_force,omitempty"`
}
