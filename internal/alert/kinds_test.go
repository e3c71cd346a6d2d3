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
		alert.ProviderQuota("insufficient_quota"), alert.ProviderRefuses("403"),
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
		alert.KindProviderQuota, alert.KindProviderRefuses,
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
		"alice", "x; touch /tmp/owned", "$(reboot)", "`reboot`", "a'b", `a"b\`, "-rf", "a b", "", "*", "~root", "#1", "a&b", "ü@example.com", "'; id; '", "bob.",
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

// A command in Slack is copied as it is shown: a space that nobody sees would make it
// about a user who does not exist.
func TestCommandsInSlackAreAsTheyWere(t *testing.T) {
	for id, want := range map[string]string{
		"bob@allianz.example":    "bob@allianz.example",
		"bob@here.example":       "bob@here.example",
		"https://id.example/bob": "https://id.example/bob",
		"@bob":                   "@bob",
		"bob.":                   "'bob.'",
		"auth0|bob":              "'auth0|bob'",
		"it's [me](you); x":      `'it'\''s [me](you); x'`,
		"a&b <c>":                "'a&amp;b &lt;c&gt;'", // which Slack shows as it was
		"bob`":                   "u_5f2c",
		"x @everyone":            "u_5f2c",
		"b\u200bob":              "u_5f2c",
		" bob":                   "u_5f2c",
	} {
		who := alert.User{Key: "u_5f2c", ID: id}
		undo := "`keyshield enable --user " + want + "`\n"
		if text := alert.SlackText(alert.UserDisabled(who, "watch", "", time.Time{})); !strings.Contains(text, "Undo: "+undo) {
			t.Errorf("%q: %q does not say %q", id, text, undo)
		}
		text := alert.SlackText(alert.Spike(who, "requests", "So many."))
		for _, said := range []string{"`keyshield audit --since 1h --user " + want + "`. Stop", "`keyshield disable --user " + want + " --for 1h --why spike`\n"} {
			if !strings.Contains(text, said) {
				t.Errorf("%q: %q does not say %q", id, text, said)
			}
		}
	}
	why := "many; disabled for 1h; undo: keyshield enable --user bob@here.example"
	if text := alert.SlackText(alert.UserDisabled(alice, "watch", why, time.Time{})); !strings.Contains(text, "Why: `"+why+"`\n") {
		t.Errorf("%q does not say %q", text, why)
	}
}

func TestNamesAreShownAsTheyAre(t *testing.T) {
	bob := alert.User{Key: "k", ID: "bob@allianz.example"}
	if text := alert.SlackText(alert.UserEnabled(bob, "cli", "")); !strings.Contains(text, "*bob@allianz.example is enabled again*") {
		t.Errorf("%q", text)
	}
}

// What is cut off in the midst of code stays code.
func TestWhatIsCutStaysCode(t *testing.T) {
	for n := 1500; n < 1900; n += 7 {
		e := alert.Event{Title: "t", Text: strings.Repeat("x", n) + " keyshield audit --user '" + strings.Repeat("https://evil.example ", 20) + "'"}
		text := alert.SlackText(e)
		if len([]rune(text)) > 1900 || strings.Count(text, "`")%2 != 0 {
			t.Fatalf("%d characters, %d backticks: %q", len([]rune(text)), strings.Count(text, "`"), text[len(text)-200:])
		}
	}
}
