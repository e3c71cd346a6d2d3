package server

import (
	"errors"
	"log/slog"
	"net/http"
	"time"

	"keyshield/internal/apierr"
	"keyshield/internal/audit"
	"keyshield/internal/metrics"
	"keyshield/internal/money"
	"keyshield/internal/upstream"
	"keyshield/internal/watch"
)

// account tells everyone who wants to know how a request ended. The order matters:
// what it cost is reckoned first, and the money is settled last, since a hold that
// has ended is the ledger's word that the audit log has the call.
func (s *Server) account(x *exchange, r *http.Request) {
	w, scope := &x.out, &x.scope
	if b := scope.bill; b != nil {
		defer b.settle()
		b.reckon(scope, scope.Err)
	}
	s.running.remove(x)
	e := endingOf(w, r, scope)
	s.writeLine(w, r, scope, e)
	s.record(r, scope, e)
	s.tally.count(scope, e)
	s.count(r, scope, e)
	s.see(scope, e)
	s.hearProvider(scope, e.at)
}

// ending is how a request ended, in a few words.
type ending struct {
	at      time.Time
	took    time.Duration
	status  int
	code    string // of the refusal or failure; "" is none
	outcome string
	level   slog.Level // error means that someone must act
}

// The outcomes there are, as the audit log and the metrics name them.
const (
	succeeded  = audit.OK
	refused    = audit.Denied     // by us, or by OpenAI on account of what was asked
	failed     = audit.Failed     // not the caller's fault
	clientLeft = audit.ClientGone // before the answer was complete
)

func endingOf(w *response, r *http.Request, scope *Scope) ending {
	e := ending{at: time.Now(), status: w.status, level: slog.LevelInfo, outcome: succeeded}
	e.took = e.at.Sub(scope.Began)
	if scope.Err == nil {
		return e
	}
	if clientGone(r) && (e.status == 0 || e.status == http.StatusOK) {
		e.status, e.code, e.outcome = statusClientGone, "client_gone", clientLeft
		return e
	}
	why := apierr.From(scope.Err)
	if ours := endedByUs(r); ours != nil {
		why = ours
	}
	e.code, e.outcome = why.Code, refused
	if why.Status >= http.StatusInternalServerError && !ourWord[why.Code] {
		e.outcome = failed
	}
	switch {
	case why.Status == http.StatusInternalServerError,
		errors.Is(scope.Err, upstream.ErrKeyRefused), errors.Is(scope.Err, upstream.ErrQuota):
		e.level = slog.LevelError
	case why.Status > http.StatusInternalServerError:
		e.level = slog.LevelWarn
	}
	return e
}

// ourWord are the codes of a 503 by which we refuse, and nothing broke.
var ourWord = map[string]bool{"disabled": true, "overloaded": true}

// charged is what the call is charged for now.
func (scope *Scope) charged() money.USD {
	if scope.Proven {
		return scope.Cost
	}
	return scope.Ceiling
}

// unproven is what is charged without proof.
func (scope *Scope) unproven() money.USD { return scope.charged() - scope.Cost }

// record writes a line of the audit log. Who has no name is counted, and no more: a
// flood must not fill the disk. Nor must that of a known user, with a token that was
// stolen: only what may have reached OpenAI surely has a line of its own, for money and
// limits bound that. Such a call need not wait for its line, since its hold is on disk
// and says that one is due.
func (s *Server) record(r *http.Request, scope *Scope, e ending) {
	switch {
	case s.audit == nil:
	case scope.Caller.ID == "":
		switch {
		case e.outcome == succeeded:
		case scope.guessed: // the answer does not tell, the log does
			s.audit.Refused("admin_token_wrong")
		default:
			s.audit.Refused(e.code)
		}
	default:
		rec := audit.Record{
			Time: e.at, Kind: audit.Request, ID: scope.ID,
			User: scope.Caller.ID, Issuer: scope.Caller.Issuer, UserKey: scope.Caller.Pseudonym, Plan: s.tierOf(r).plan.Name,
			Endpoint: loggedPath(r), Status: e.status, Outcome: e.outcome, Code: e.code,
			Input: scope.Usage.Prompt, Output: scope.Usage.Completion,
			Cost: scope.Cost, AtCeiling: scope.unproven(), Took: e.took,
		}
		if scope.IP.IsValid() {
			rec.IP = scope.IP.String()
		}
		if scope.bill == nil {
			s.audit.Turned(&rec)
			return
		}
		rec.Model = scope.bill.q.model
		s.audit.Request(&rec, false)
	}
}

// count adds the request to the metrics.
func (s *Server) count(r *http.Request, scope *Scope, e ending) {
	if s.metrics == nil {
		return
	}
	seen := metrics.Seen{
		Route: routeOf(r), Status: e.status, Outcome: e.outcome, Code: e.code,
		Took: e.took, Upstream: scope.Waited, FirstToken: scope.FirstToken,
	}
	if b := scope.bill; b != nil {
		u := scope.Usage
		seen.Model, seen.Stream = b.q.model, b.q.Stream
		seen.Tokens = metrics.Tokens{Input: u.Prompt, Cached: u.Cached, Output: u.Completion, Reasoning: u.Reasoning}
		seen.Cost, seen.AtCeiling = scope.Cost, scope.unproven()
	}
	s.metrics.Request(seen)
}

// see shows the request to the watch, but not what somebody goes on to read whom a
// switch has stopped: they would be disabled anew as long as they do. What was asked
// before counts, for it has cost what it has.
func (s *Server) see(scope *Scope, e ending) {
	if s.watch == nil || scope.Caller.ID == "" {
		return
	}
	free := scope.bill == nil
	if free && s.ledger.StoppedUser(scope.Caller.Pseudonym, scope.Caller.ID) != nil {
		return
	}
	s.watch.See(watch.Seen{
		Key: scope.Caller.Pseudonym, Issuer: scope.Caller.Issuer, ID: scope.Caller.ID,
		IP: scope.IP, At: e.at, Refused: e.outcome == refused && free, Free: free, Code: e.code, // by us, not by OpenAI
		Proven: scope.Cost, Unproven: scope.unproven(),
	})
}
