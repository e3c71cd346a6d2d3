package alert

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// What an Event's Kind can be.
const (
	KindSoftLimit        = "soft_limit"
	KindCapReached       = "cap_reached"
	KindSpike            = "spike"
	KindUserDisabled     = "user_disabled"
	KindUserEnabled      = "user_enabled"
	KindServiceDisabled  = "service_disabled"
	KindServiceEnabled   = "service_enabled"
	KindKeyRotated       = "key_rotated"
	KindKeyRejected      = "key_rejected"
	KindKeyRecovered     = "key_recovered"
	KindNoKeyLeft        = "no_key_left"
	KindProviderQuota    = "provider_quota"
	KindProviderRefuses  = "provider_refuses"
	KindKeyElsewhere     = "key_used_elsewhere"
	KindKeyOld           = "key_old"
	KindModelRetiring    = "model_retiring"
	KindModelStopped     = "model_stopped"
	KindOvershoot        = "overshoot"
	KindLedgerUnwritable = "ledger_unwritable"
	KindLedgerWritable   = "ledger_writable"
	KindAuditBroken      = "audit_broken"
	KindAuditWorks       = "audit_works"
	KindSourceFailed     = "source_failed"
	KindSourceBack       = "source_back"
	KindReconciled       = "reconciled"
	KindTest             = "test"
	kindDigest           = "digest"
)

// User is whom an event is about: the pseudonym, and what the pseudonym stands
// for. The zero User is everyone.
type User struct{ Key, Issuer, ID string }

// name is in one line, for it stands in texts that have several.
func (u User) name() string {
	if u.ID == "" {
		return clean(u.Key, false)
	}
	return clean(u.ID, false)
}

// handle is what to call them in a command: by the pseudonym where the id would not
// arrive as it is.
func (u User) handle() string {
	if u.Key != "" && (u.ID == "" || !survives(u.ID)) {
		return clean(u.Key, false)
	}
	return u.name()
}

func (u User) fields() [][2]string {
	if u == (User{}) {
		return nil
	}
	f := [][2]string{{"User", u.name()}}
	if u.Issuer != "" {
		f = append(f, [2]string{"Issuer", u.Issuer})
	}
	return f
}

// SoftLimit: a share of a cap is spent. The zero User means everyone's cap;
// window names the day or the month.
func SoftLimit(who User, window string, percent int, spent, limit fmt.Stringer) Event {
	e := Event{
		Kind: KindSoftLimit, Severity: Warning,
		Title:  fmt.Sprintf("%d%% of the budget for %s is spent", percent, window),
		Text:   "When it is used up, everyone is refused until the next window. See who spends: keyshield usage",
		Key:    fmt.Sprintf("%s/%s/%d", who.Key, window, percent),
		Fields: append(who.fields(), [2]string{"Spent", spent.String()}, [2]string{"Budget", limit.String()}),
	}
	if who != (User{}) {
		e.Severity = Info
		e.Title = fmt.Sprintf("%s has spent %d%% of their budget for %s", who.name(), percent, window)
		e.Text = "When it is used up, this user is refused until the next window. See what it went to: keyshield audit --since 24h --user " + word(who.handle())
	}
	return e
}

// CapReached: a cap is used up, and requests are refused.
func CapReached(who User, window string, spent, limit fmt.Stringer) Event {
	e := Event{
		Kind: KindCapReached, Severity: Critical,
		Title:  "The budget for " + window + " is used up: everyone is refused",
		Text:   "It begins anew with the next window. To go on before that, raise BUDGET_DAY or BUDGET_MONTH and restart. See who spent it: keyshield usage",
		Key:    who.Key + "/" + window,
		Fields: append(who.fields(), [2]string{"Spent", spent.String()}, [2]string{"Budget", limit.String()}),
	}
	if who != (User{}) {
		e.Severity = Info
		e.Title = fmt.Sprintf("%s has used up their budget for %s", who.name(), window)
		e.Text = "This user is refused until the next window; nobody else is. See what it went to: keyshield audit --since 24h --user " + word(who.handle())
	}
	return e
}

// Spike: someone, or everything, does far more of something than usual. What says
// it in plain words; signal is what there is more of.
func Spike(who User, signal, what string) Event {
	e := Event{
		Kind: KindSpike, Severity: Warning, Title: "Unusual traffic: " + signal,
		Text: what + "\nSee who it is: keyshield usage. Stop everything: keyshield disable --everything --for 1h --why spike",
		Key:  who.Key + "/" + signal, Fields: append(who.fields(), [2]string{"Signal", signal}),
	}
	if who != (User{}) {
		e.Title = fmt.Sprintf("Unusual traffic from %s: %s", who.name(), signal)
		e.Text = fmt.Sprintf("%s\nSee what they do: keyshield audit --since 1h --user %[2]s. Stop them: keyshield disable --user %[2]s --for 1h --why spike",
			what, word(who.handle()))
	}
	return e
}

// UserDisabled: a user is refused from now on, until then (zero: until enabled).
func UserDisabled(who User, by, why string, until time.Time) Event {
	return Event{
		Kind: KindUserDisabled, Severity: Critical,
		Title:  who.name() + " is disabled " + lasting(until),
		Text:   "Nobody else is affected. If this user's token was stolen, it still works elsewhere: revoke it at your identity provider. Undo: keyshield enable --user " + word(who.handle()),
		Key:    who.Key,
		Fields: append(who.fields(), [2]string{"By", by}, [2]string{"Why", why}),
	}
}

// UserEnabled: the user is admitted again.
func UserEnabled(who User, by, why string) Event {
	return Event{
		Kind: KindUserEnabled, Severity: Info, Title: who.name() + " is enabled again",
		Text: "Nothing needs to be done. See what they do: keyshield audit --since 1h --user " + word(who.handle()),
		Key:  who.Key, Fields: append(who.fields(), [2]string{"By", by}, [2]string{"Why", why}),
	}
}

// ServiceDisabled: everyone is refused from now on, until then (zero: until enabled).
func ServiceDisabled(by, why string, until time.Time) Event {
	return Event{
		Kind: KindServiceDisabled, Severity: Critical, Title: "Everything is stopped " + lasting(until),
		Text:   "Every request is refused. See what happened: keyshield audit --since 1h. Go on: keyshield enable --everything",
		Fields: [][2]string{{"By", by}, {"Why", why}},
	}
}

// ServiceEnabled: requests are answered again.
func ServiceEnabled(by, why string) Event {
	return Event{
		Kind: KindServiceEnabled, Severity: Critical, Title: "Everything runs again",
		Text:   "Requests are answered. Watch what comes: keyshield usage",
		Fields: [][2]string{{"By", by}, {"Why", why}},
	}
}

// Overshoot: a call cost more than its ceiling, which should be impossible.
func Overshoot(who User, model string, over, ceiling fmt.Stringer) Event {
	return Event{
		Kind: KindOvershoot, Severity: Critical, Title: "A call to " + model + " cost more than its ceiling",
		Text: "All of it is counted, and the user is suspended. Compare the price table with OpenAI's (PRICES_FILE overrides it), then let the user in again: keyshield enable --user " + word(who.handle()),
		Key:  who.Key + "/" + model, Fields: append(who.fields(), [2]string{"Model", model},
			[2]string{"Over the ceiling by", over.String()}, [2]string{"Ceiling", ceiling.String()}),
	}
}

// ModelStopped: several calls to a model cost more than their ceilings.
func ModelStopped(model string) Event {
	return Event{
		Kind: KindModelStopped, Severity: Critical, Title: model + " is stopped: its calls cost more than their ceilings",
		Text: "Requests for this model are refused. Compare the price table with OpenAI's (PRICES_FILE overrides it), then: keyshield enable --model " + word(model),
		Key:  model, Fields: [][2]string{{"Model", model}},
	}
}

// ModelRetiring: OpenAI retires a model that is in use, within 30 days. It is
// told when 30, 14, 7, 3 days and one are left, and when it is gone.
func ModelRetiring(model string, on, now time.Time, instead string) Event {
	days := int(on.Sub(now).Hours() / 24)
	left, title, severity := "gone", model+" was retired by OpenAI and answers no more", Critical
	if now.Before(on) {
		severity, title = Warning, fmt.Sprintf("%s will be retired by OpenAI on %s", model, on.UTC().Format(time.DateOnly))
		for _, step := range []int{30, 14, 7, 3, 1} {
			if days < step {
				left = strconv.Itoa(step)
			}
		}
	}
	text := "Change OPENAI_MODEL and MODELS, and restart. Which model is used for what: keyshield check"
	if instead != "" {
		text = "Change to " + instead + ", or another, in OPENAI_MODEL and MODELS, and restart. Which model is used for what: keyshield check"
	}
	return Event{
		Kind: KindModelRetiring, Severity: severity, Title: title, Text: text, Key: model + "/" + left,
		Fields: [][2]string{{"Model", model}, {"Retires on", on.UTC().Format(time.DateOnly)}},
	}
}

// LedgerUnwritable: no money can be reserved, so that nothing is asked.
func LedgerUnwritable() Event {
	return Event{
		Kind: KindLedgerUnwritable, Severity: Critical, Title: "The ledger cannot be written: every request is refused",
		Text: "Look at the disk under DATA_DIR: is it full, read-only or gone? It goes on by itself when the ledger can be written.",
	}
}

// LedgerWritable ends LedgerUnwritable.
func LedgerWritable() Event {
	return Event{
		Kind: KindLedgerWritable, Severity: Critical, Title: "The ledger can be written again",
		Text: "Requests are answered. See what was refused in the meantime: keyshield audit --since 1h",
	}
}

// AuditBroken: what happens is not recorded.
func AuditBroken(why string) Event {
	return Event{
		Kind: KindAuditBroken, Severity: Critical, Title: "The audit log cannot be written",
		Text:   "Calls are not recorded; with AUDIT_REQUIRED=true they are refused. Look at the disk under DATA_DIR: is it full, read-only or gone?",
		Fields: [][2]string{{"Why", why}},
	}
}

// AuditWorks ends AuditBroken; lost is how many records are missing.
func AuditWorks(lost int64) Event {
	return Event{
		Kind: KindAuditWorks, Severity: Critical, Title: "The audit log can be written again",
		Text:   "The gap is recorded in it. Verify the rest: keyshield audit verify",
		Fields: [][2]string{{"Records lost", strconv.FormatInt(lost, 10)}},
	}
}

func testEvent() Event {
	return Event{
		Kind: KindTest, Severity: Info, Title: "This is a test",
		Text: "Alerts arrive here. Nothing happened, and nothing needs to be done.",
	}
}

func lasting(until time.Time) string {
	if until.IsZero() {
		return "until you enable it again"
	}
	return "until " + until.UTC().Format("2006-01-02 15:04 UTC")
}

// word quotes what goes into a command that the operator may copy into a shell: a
// user's id is the user's own text, such as "x; rm -rf ~". A dot at its end would be
// taken for the sentence's.
func word(s string) string {
	plain := s != "" && s[0] != '-' && !strings.ContainsAny(s[len(s)-1:], ".:,") && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+=:,./-") == ""
	if plain {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
