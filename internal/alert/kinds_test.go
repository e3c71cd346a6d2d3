package alert_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"keyshield/internal/alert"
)

var alice = alert.User{Key: "u_5f2c", Issuer: "https://id.example.com", ID: "alice"}

type dollars string

func (d dollars) String() string { return string(d) }

func everyKind() map[string]alert.Event {
	now := time.Date(2026, 11, 22, 5, 0, 0, 0, time.UTC)
	all := map[string]alert.Event{}
	for _, e := range []alert.Event{
		alert.SoftLimit(alert.User{}, "2026-11", 80, dollars("$16"), dollars("$20")),
		alert.CapReached(alert.User{}, "2026-11", dollars("$20"), dollars("$20")),
		alert.Spike(alice, "requests", "alice made 412 requests in the last minute; usually it is 3."),
		alert.UserDisabled(alice, "watch", "flood", now.Add(time.Hour)),
		alert.UserEnabled(alice, "cli", "was a test"),
		alert.ServiceDisabled("cli", "leak", time.Time{}),
		alert.ServiceEnabled("cli", "leak closed"),
		alert.KeyRotated("sha256:12345678", "env OPENAI_API_KEYS", "the one before was refused"),
		alert.KeyRejected("sha256:12345678", "env OPENAI_API_KEYS", "401"),
		alert.KeyRecovered("sha256:12345678", "env OPENAI_API_KEYS"),
		alert.NoKeyLeft("401"),
		alert.KeyUsedElsewhere("2026-11-21", dollars("$14"), dollars("$4"), dollars("$10")),
		alert.KeyOld("sha256:12345678", "file", now.Add(-100*24*time.Hour), now),
		alert.ModelRetiring("gpt-4o", now.Add(20*24*time.Hour), now, "gpt-6-luna"),
		alert.ModelStopped("gpt-4o"),
		alert.Overshoot(alice, "gpt-4o", dollars("$0.10"), dollars("$0.02")),
		alert.LedgerUnwritable(), alert.LedgerWritable(), alert.AuditBroken("disk full"), alert.AuditWorks(12),
		alert.SourceFailed("aws-sm", "timeout"), alert.SourceBack("aws-sm"),
		alert.Reconciled("2026-11-21", dollars("$4"), dollars("$4")),
	} {
		all[e.Kind] = e
	}
	return all
}

// An alert at night that leaves one guessing is none.
func TestEveryKindSaysWhatToDo(t *testing.T) {
	all := everyKind()
	for kind, e := range all {
		if e.Title == "" || len(e.Title) > 200 || len(e.Text) > 2000 {
			t.Errorf("%s: title %q, text of %d", kind, e.Title, len(e.Text))
		}
		if !strings.Contains(e.Text, "keyshield ") && !strings.Contains(e.Text, "DATA_DIR") && !strings.Contains(e.Text, "Nothing needs to be done") {
			t.Errorf("%s says nothing of what to do: %q", kind, e.Text)
		}
	}
	for _, kind := range kindsInSource(t) {
		if _, ok := all[kind]; !ok && kind != alert.KindTest && kind != "digest" {
			t.Errorf("nothing makes a %s", kind)
		}
	}
	for _, kind := range []string{
		alert.KindCapReached, alert.KindUserDisabled, alert.KindServiceDisabled, alert.KindKeyRejected, alert.KindNoKeyLeft,
		alert.KindKeyElsewhere, alert.KindOvershoot, alert.KindLedgerUnwritable, alert.KindAuditBroken,
	} {
		if all[kind].Severity != alert.Critical {
			t.Errorf("%s is money, a stop or a key, but only %v", kind, all[kind].Severity)
		}
	}
}

func kindsInSource(t *testing.T) (kinds []string) {
	file, err := parser.ParseFile(token.NewFileSet(), "kinds.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || !strings.HasPrefix(strings.ToLower(spec.Names[0].Name), "kind") {
			return true
		}
		value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		kinds = append(kinds, value)
		return true
	})
	if len(kinds) < 20 {
		t.Fatalf("found only %q", kinds)
	}
	return kinds
}

// A budget of one user is routine, and must not wake anyone.
func TestOneUsersBudgetIsNoEmergency(t *testing.T) {
	for _, e := range []alert.Event{
		alert.SoftLimit(alice, "2026-11-22", 80, dollars("$0.80"), dollars("$1")),
		alert.CapReached(alice, "2026-11-22", dollars("$1"), dollars("$1")),
	} {
		if e.Severity != alert.Info || !strings.Contains(e.Title, "alice") {
			t.Errorf("%q is %v", e.Title, e.Severity)
		}
	}
}

// Operators copy commands out of alerts; a user's id is the user's own text.
func TestCommandsAreSafeToCopy(t *testing.T) {
	for _, id := range []string{
		"alice", "x; touch /tmp/owned", "$(reboot)", "`reboot`", "a'b", `a"b\`, "-rf", "a b", "", "*", "~root", "#1", "a&b", "ü@example.com", "'; id; '",
	} {
		out, err := exec.Command("sh", "-c", "printf %s "+alert.Word(id)).Output()
		if err != nil || string(out) != id {
			t.Errorf("a shell reads %s as %q (%v), want %q", alert.Word(id), out, err, id)
		}
	}
	e := alert.UserDisabled(alert.User{Key: "k", ID: "x; reboot"}, "watch", "", time.Time{})
	if !strings.HasSuffix(e.Text, "keyshield enable --user 'x; reboot'") {
		t.Errorf("the command is not quoted: %q", e.Text)
	}
}
