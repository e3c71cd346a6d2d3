package prompt_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keyshield/internal/prompt"
)

// TestWhatTheHooksSendIsUnderstood is about bodies that the real packages wrote;
// testdata/hooks/README.md tells how they came about.
func TestWhatTheHooksSendIsUnderstood(t *testing.T) {
	const question, answer = "What is the capital of France?", "Paris, \"since\" 987.\n"
	for file, want := range map[string]prompt.Chat{
		"first":            {Messages: []prompt.Message{{"user", question}}},
		"second":           {Messages: []prompt.Message{{"user", question}, {"assistant", answer}, {"user", "And since when?"}}},
		"regenerate":       {Messages: []prompt.Message{{"user", question}, {"assistant", answer}, {"user", "And since when?"}}},
		"regenerate-first": {Messages: []prompt.Message{{"user", question}}},
		"edited":           {Messages: []prompt.Message{{"user", "Of Spain, I meant."}}},
		"edited-parts":     {Messages: []prompt.Message{{"user", "Of\nItaly"}}},
		"stopped":          {Messages: []prompt.Message{{"user", "One"}, {"assistant", "Par"}, {"user", "Two"}, {"user", "Three"}}},
		"failed":           {Messages: []prompt.Message{{"user", "One"}, {"assistant", "Par"}, {"user", "Two"}, {"user", "Three"}}},
		"text-protocol":    {Messages: []prompt.Message{{"user", "One"}, {"assistant", "Paris."}, {"user", "Two"}}},
		"system":           {Messages: []prompt.Message{{"system", "Be brief."}, {"user", "One"}}, System: true},
	} {
		got, err := rules.DecodeChat(hook(t, file))
		if err != nil {
			t.Errorf("%s: %v", file, err)
		} else if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", file, diff)
		}
	}
	want := prompt.Chat{Messages: []prompt.Message{{"user", "Tell me a joke."}}}
	if got, err := rules.DecodeCompletion(hook(t, "completion")); err != nil || !cmp.Equal(got, want) {
		t.Errorf("completion: %+v, %v; want %+v", got, err, want)
	}
}

func TestWhatTheHooksMaySendBesidesIsRefused(t *testing.T) {
	const kinds = ` must be "text": files, tools and data are not accepted here.`
	for file, want := range map[string]struct{ code, param, message string }{
		"refused-extra": {"unknown_field", "model", `Unknown field "model". Only "id", "messages", "trigger" and "messageId" are accepted.`},
		"refused-file":  {"invalid_field", "messages[0].parts[0].type", `Field "messages[0].parts[0].type"` + kinds},
		"refused-tool":  {"invalid_field", "messages[1].parts[1].type", `Field "messages[1].parts[1].type"` + kinds},
	} {
		_, err := rules.DecodeChat(hook(t, file))
		if e := refused(t, file, err); e.Code != want.code || e.Param != want.param || e.Message != want.message {
			t.Errorf("%s: %s about %q: %q; want %+v", file, e.Code, e.Param, e.Message, want)
		}
	}
	_, err := rules.DecodeCompletion(hook(t, "refused-completion"))
	if e := refused(t, "refused-completion", err); e.Code != "unknown_field" || e.Param != "temperature" {
		t.Errorf("refused-completion: %v about %q, want temperature refused", err, e.Param)
	}
}

func hook(t *testing.T, name string) []byte {
	t.Helper()
	body, err := os.ReadFile(filepath.Join("testdata", "hooks", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	return body
}
