package config_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyshield/internal/config"
)

// revealed are the keys in force.
func revealed(l *config.Loaded) (all []string) {
	for _, k := range l.Config.OpenAI.AllKeys() {
		all = append(all, k.Reveal())
	}
	return all
}

func TestSeveralKeysArriveInTheirOrder(t *testing.T) {
	const second, third = testKey + "-2", testKey + "-3"
	for _, c := range []struct {
		lines []string
		want  []string
	}{
		{[]string{"OPENAI_API_KEY=", "OPENAI_API_KEYS=" + testKey}, []string{testKey}},
		{[]string{"OPENAI_API_KEY=", "OPENAI_API_KEYS=" + second + "," + testKey}, []string{second, testKey}},
		{[]string{"OPENAI_API_KEY=", "OPENAI_API_KEYS= " + second + " ,\n" + testKey + "\r\n,"}, []string{second, testKey}},
		{[]string{"OPENAI_API_KEYS=" + second + "\n" + third}, []string{testKey, second, third}},
		{[]string{"OPENAI_API_KEYS=" + second + "," + testKey}, []string{testKey, second}},
	} {
		l := serve(t, c.lines...)
		if diff := cmp.Diff(c.want, revealed(l)); diff != "" || len(l.Problems) > 0 {
			t.Errorf("%q: %+v (-want +got):\n%s", c.lines, l.Problems, diff)
		}
	}
	file := filepath.Join(t.TempDir(), "keys")
	write(t, file, testKey+"\n"+second+"\n")
	l := serve(t, "OPENAI_API_KEY=", "OPENAI_API_KEYS_FILE="+file)
	if diff := cmp.Diff([]string{testKey, second}, revealed(l)); diff != "" || len(l.Problems) > 0 || !slices.Equal(l.Config.KeyFiles, []string{file}) {
		t.Errorf("from a file: %+v %q (-want +got):\n%s", l.Problems, l.Config.KeyFiles, diff)
	}
}

func TestBadKeysAreRefusedByTheirPlace(t *testing.T) {
	var many []string
	for i := range 17 {
		many = append(many, fmt.Sprint(canary, i))
	}
	for value, text := range map[string]string{
		testKey + "," + canary[:10]:                 "the key at place 2 is too short",
		`"` + canary + `",` + testKey:               "the key at place 1 is in quotes",
		testKey + ",sk-admin-" + canary:             "the key at place 2 is an admin key",
		testKey + "," + testKey + ",your-key-here-": "the key at place 3 is still the example's placeholder",
		testKey + "," + canary + "\u2013x":          "the key at place 2 contains a character that no key has",
		testKey + "," + strings.Repeat(canary, 40):  "the key at place 2 is too long",
		strings.Join(many, ","):                     "hold 18 keys; there may be 16",
	} {
		l := serve(t, "OPENAI_API_KEYS="+value)
		gotText, fix := problemOf(l, "OPENAI_API_KEYS")
		if !strings.Contains(gotText, text) || !strings.HasPrefix(fix, "OPENAI_API_KEYS=<key>,<key>") {
			t.Errorf("told %q, %q; want %q", gotText, fix, text)
		}
		if piece := shows(told(l)); piece != "" {
			t.Errorf("%s: %q is shown", text, piece)
		}
	}
}

func TestKeySourcesAreReadOrRefused(t *testing.T) {
	for value, want := range map[string]config.KeySource{
		"aws-sm:prod/openai": {Kind: "aws-sm", Name: "prod/openai"},
		"aws-sm:arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod/openai-AbCdEf": {Kind: "aws-sm", Name: "arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod/openai-AbCdEf"},
		"gcp-sm:projects/my-project/secrets/openai":                                      {Kind: "gcp-sm", Name: "projects/my-project/secrets/openai"},
		"doppler:backend/prd": {Kind: "doppler", Name: "backend/prd"},
	} {
		lines := []string{"OPENAI_API_KEY=", "OPENAI_KEY_SOURCE=" + value}
		if want.Kind == "doppler" {
			lines = append(lines, "DOPPLER_TOKEN=dp.st.prd."+canary)
		}
		l := serve(t, lines...)
		if len(l.Problems) > 0 || l.Config.OpenAI.Source != want || l.Config.OpenAI.Source.String() != value || l.Config.OpenAI.KeyRefresh != time.Minute {
			t.Errorf("%s: %+v %+v", value, l.Config.OpenAI.Source, l.Problems)
		}
		if piece := shows(told(l)); piece != "" {
			t.Errorf("%s: %q is shown", value, piece)
		}
	}
	const example = "OPENAI_KEY_SOURCE=aws-sm:prod/openai"
	for value, fix := range map[string]string{
		"vault:secret/openai": example, "AWS-SM:prod/openai": example, "prod/openai": example, ":prod": example, "env": example,
		"aws-sm:": example, "aws-sm:prod openai": example, "aws-sm:" + strings.Repeat("x", 513): example,
		"gcp-sm:openai":                   "OPENAI_KEY_SOURCE=gcp-sm:projects/my-project/secrets/openai",
		"gcp-sm:projects/x/secrets/y/1":   "OPENAI_KEY_SOURCE=gcp-sm:projects/my-project/secrets/openai",
		"gcp-sm:projects/../../secrets/y": "OPENAI_KEY_SOURCE=gcp-sm:projects/my-project/secrets/openai",
		"doppler:backend":                 "OPENAI_KEY_SOURCE=doppler:backend/prd",
		"doppler:backend/prd/x":           "OPENAI_KEY_SOURCE=doppler:backend/prd",
		"doppler:backend/prd?x=1":         "OPENAI_KEY_SOURCE=doppler:backend/prd",
	} {
		l := serve(t, "OPENAI_API_KEY=", "OPENAI_KEY_SOURCE="+value)
		text, got := problemOf(l, "OPENAI_KEY_SOURCE")
		if text == "" || got != fix {
			t.Errorf("%.40s: %q, %q; want the line %q", value, text, got, fix)
		}
	}
}

func TestKeysComeFromOnePlace(t *testing.T) {
	source := "OPENAI_KEY_SOURCE=aws-sm:prod/openai"
	for _, c := range []struct {
		name      string
		lines     []string
		text, fix string
	}{
		{"OPENAI_KEY_SOURCE", []string{source}, "only one of them may be", "unset OPENAI_API_KEY"},
		{"OPENAI_KEY_SOURCE", []string{"OPENAI_API_KEY=", "OPENAI_API_KEYS=" + testKey, source}, "only one of them may be", "unset OPENAI_API_KEY"},
		{"DOPPLER_TOKEN", []string{"OPENAI_API_KEY=", "OPENAI_KEY_SOURCE=doppler:backend/prd"}, "go together", "DOPPLER_TOKEN=<a service token of that config>"},
		{"DOPPLER_TOKEN", []string{"DOPPLER_TOKEN=" + canary}, "go together", "DOPPLER_TOKEN=<a service token of that config>"},
		{"OPENAI_KEY_SOURCE_URL", []string{"OPENAI_API_KEY=", source, "OPENAI_KEY_SOURCE_URL=http://vault.example.com"}, "must be https://host", "OPENAI_KEY_SOURCE_URL=https://secrets.example.com"},
		{"OPENAI_KEY_SOURCE_URL", []string{"OPENAI_API_KEY=", source, "OPENAI_KEY_SOURCE_URL=https://user:" + canary + "@vault.example.com"}, "without a user", "OPENAI_KEY_SOURCE_URL=https://secrets.example.com"},
		{"OPENAI_KEY_SOURCE_URL", []string{"OPENAI_API_KEY=", source, "OPENAI_KEY_SOURCE_URL=https://vault.example.com/?token=" + canary}, "without a user or a query", "OPENAI_KEY_SOURCE_URL=https://secrets.example.com"},
		{"OPENAI_KEY_SOURCE_URL", []string{"OPENAI_API_KEY=", source, "OPENAI_KEY_SOURCE_URL=vault.example.com"}, "must be https://host", "OPENAI_KEY_SOURCE_URL=https://secrets.example.com"},
		{"OPENAI_API_KEY", []string{"OPENAI_API_KEY="}, "is missing", "OPENAI_API_KEY=<your key>, or OPENAI_API_KEY_FILE=<a file with it>"},
	} {
		l := serve(t, c.lines...)
		wantProblem(t, l, c.name, c.text, c.fix)
		var out strings.Builder
		l.Print(&out)
		if piece := shows(fmt.Sprintf("%s %+v %q", &out, l.Problems, l.Warnings)); piece != "" {
			t.Errorf("%s, %s: %q is shown", c.name, c.text, piece)
		}
	}
	for _, good := range []string{"https://vpce-1.secretsmanager.eu-central-1.vpce.amazonaws.com", "http://127.0.0.1:4566", "http://localhost:4566", "http://[::1]:4566"} {
		if l := serve(t, "OPENAI_API_KEY=", source, "OPENAI_KEY_SOURCE_URL="+good); len(l.Problems) > 0 {
			t.Errorf("%s: %+v", good, l.Problems)
		}
	}
	for _, bad := range []string{"0s", "500ms", "25h", "often", "-1m", "60"} {
		if text, fix := problemOf(serve(t, "KEY_REFRESH="+bad), "KEY_REFRESH"); text == "" || fix != "KEY_REFRESH=1m" {
			t.Errorf("KEY_REFRESH=%s: %q, %q", bad, text, fix)
		}
	}
}

// TestNoNewSecretIsEverShown: those of keys, alerts and the operator, spoilt in every
// way.
func TestNoNewSecretIsEverShown(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"OPENAI_API_KEYS", "DOPPLER_TOKEN", "ADMIN_TOKEN", "ALERT_SLACK_URL", "ALERT_WEBHOOK_URL", "ALERT_WEBHOOK_SECRET", "ALERT_SMTP_URL"} {
		for i, value := range append([]string{"https://example.com/" + canary, "smtp://" + canary + "@x.example:1/y", canary + "," + canary}, spoilt...) {
			file := filepath.Join(dir, "file")
			write(t, file, value)
			for source, line := range map[string]string{"environment": name + "=" + value, "file": name + "_FILE=" + file, "its name of file": name + "_FILE=" + value} {
				if piece := shows(told(config.Load(config.Serve, right(line), dir))); piece != "" {
					t.Errorf("%s, spoilt in way %d, from %s: %q is shown", name, i, source, piece)
				}
			}
		}
	}
}
