package config_test

import (
	"bytes"
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/joho/godotenv"

	"keyshield/internal/config"
)

var update = flag.Bool("update", false, "write .env.example and the README's table anew")

const (
	examplePath = "../../.env.example"
	readmePath  = "../../README.md"
	begin       = "<!-- settings:begin -->\n"
	end         = "<!-- settings:end -->\n"
)

func TestExampleFileIsGenerated(t *testing.T) {
	want := config.Example()
	if *update {
		if err := os.WriteFile(examplePath, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(examplePath)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf(".env.example is not what the code says; go test ./internal/config -update (-code +file):\n%s", diff)
	}
}

func TestReadmeTableIsGenerated(t *testing.T) {
	readme, err := os.ReadFile(readmePath)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, opened := bytes.Cut(readme, []byte(begin))
	_, after, closed := bytes.Cut(rest, []byte(end))
	if !opened || !closed {
		t.Fatalf("the README lacks one of the lines %q and %q", begin, end)
	}
	want := bytes.Join([][]byte{before, []byte(begin), config.MarkdownTable(), []byte(end), after}, nil)
	if *update {
		if err := os.WriteFile(readmePath, want, 0o644); err != nil {
			t.Fatal(err)
		}
		readme = want
	}
	if diff := cmp.Diff(string(want), string(readme)); diff != "" {
		t.Errorf("the README's table is not what the code says; go test ./internal/config -update (-code +file):\n%s", diff)
	}
}

// TestExampleChangesNothing: a copy of .env.example with the three empty lines
// filled in means the defaults, and so it does with every # taken off.
func TestExampleChangesNothing(t *testing.T) {
	filled := string(config.Example())
	for name, value := range map[string]string{"ALLOWED_ORIGINS": "https://app.example.com", "OPENAI_API_KEY": testKey, "JWT_SECRET": testSecret} {
		line := "\n" + name + "=\n"
		if !strings.Contains(filled, line) {
			t.Fatalf(".env.example has no empty line for %s, which serve needs", name)
		}
		filled = strings.Replace(filled, line, "\n"+name+"="+value+"\n", 1)
	}
	bare := regexp.MustCompile(`(?m)^#([A-Z])`).ReplaceAllString(filled, "$1")
	want := serve(t).Config
	for about, content := range map[string]string{"filled in": filled, "without any #": bare} {
		dir := t.TempDir()
		write(t, dir+"/.env", content)
		l := config.Load(config.Serve, nil, dir)
		if len(l.Problems) > 0 {
			t.Errorf("%s: %+v", about, l.Problems)
		}
		if diff := cmp.Diff(want.Server, l.Config.Server); diff != "" {
			t.Errorf("%s (-default +example):\n%s", about, diff)
		}
		if diff := cmp.Diff(want.Text, l.Config.Text); diff != "" {
			t.Errorf("%s (-default +example):\n%s", about, diff)
		}
		if diff := cmp.Diff(want.V1, l.Config.V1); diff != "" {
			t.Errorf("%s (-default +example):\n%s", about, diff)
		}
		if diff := cmp.Diff(want.Limits, l.Config.Limits); diff != "" {
			t.Errorf("%s (-default +example):\n%s", about, diff)
		}
		l.Config.Money.DataDir = want.Money.DataDir // within each test's own folder
		if diff := cmp.Diff(want.Money, l.Config.Money); diff != "" {
			t.Errorf("%s (-default +example):\n%s", about, diff)
		}
	}
}

// TestEverySettingIsInEveryListing, under its own name and with a description.
func TestEverySettingIsInEveryListing(t *testing.T) {
	l := serve(t)
	var printed strings.Builder
	l.Print(&printed)
	example, err := godotenv.UnmarshalBytes(regexp.MustCompile(`(?m)^#([A-Z])`).ReplaceAll(config.Example(), []byte("$1")))
	if err != nil {
		t.Fatal(err)
	}
	table := string(config.MarkdownTable())
	for name := range l.Sources {
		if _, ok := example[name]; !ok {
			t.Errorf("%s is not in .env.example", name)
		}
		if strings.Count(table, "| `"+name+"`") != 1 {
			t.Errorf("%s is not once in the README's table", name)
		}
		if !regexp.MustCompile(`(?m)^  ` + name + ` +\S.*  (default|environment)( \(.+\))?$`).MatchString(printed.String()) {
			t.Errorf("%s is not printed with its value and where that comes from:\n%s", name, printed.String())
		}
	}
	if len(example) != len(l.Sources) {
		t.Errorf(".env.example has %d settings, the code %d", len(example), len(l.Sources))
	}
	for row := range strings.Lines(table) {
		if strings.HasPrefix(row, "| ") && strings.Count(strings.ReplaceAll(row, `\|`, ""), "|") != 4 {
			t.Errorf("a row of the table has not three columns: %s", row)
		}
	}
}

func TestPrintShowsWhatIsInForce(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/.env", "MAX_BODY=1MiB\n")
	write(t, dir+"/secret", testSecret)
	l := config.Load(config.Serve, right("UPSTREAM_TIMEOUT=90s", "TEMPERATURE=0.25", "JWT_SECRET=", "JWT_SECRET_FILE=secret", "STREAM_MAX=x", "SYSTEM_PROMPT=one\ntwo",
		"ENDPOINTS=text, chat", "BUDGET_MONTH=7.5", "BUDGET_USER_DAY=off", "OPENAI_BASE_URL=https://eu.api.openai.com/v1"), dir)
	var out strings.Builder
	l.Print(&out)
	for _, want := range []string{
		`MAX_BODY +1MiB +\.env`, `UPSTREAM_TIMEOUT +1m30s +environment`, `STREAM_IDLE_TIMEOUT +1m +default`, `TEMPERATURE +0\.25 +environment`,
		`JWT_SECRET +\(set\) +file JWT_SECRET_FILE`, `OPENAI_API_KEY +\(set\) +environment`, `JWT_ISSUER +\(not set\) +default`,
		`STREAM_MAX +\(see the problem\) +environment`, `SYSTEM_PROMPT +"one\\ntwo" +environment`, `LOG_LEVEL +info +default`,
		`BUDGET_MONTH +\$7\.50 +environment`, `BUDGET_DAY +\$1\.50 +default \(a fifth of BUDGET_MONTH\)`, `BUDGET_USER_DAY +off +environment`,
		`BUDGET_USER_MONTH +off +default \(as much as all together\)`, `PRICE_MULTIPLIER +1\.1 +default \(by the host of OPENAI_BASE_URL\)`,
		`PRICES_FILE +\(not set\) +default \(prices 20\d\d-\d\d-\d\d\)`, `DATA_DIR +\S+/data"? +default`, `TRUSTED_PROXY +none +default`,
		`ENDPOINTS +text,chat +environment`, `MODELS +gpt-6-luna +default \(OPENAI_MODEL\)`, `MAX_BODY_V1 +1MiB +default`, `MAX_OUTPUT_TOKENS_V1 +2048 +default`, `SYSTEM_PROMPT_V1 +\(not set\) +default`,
	} {
		if !regexp.MustCompile(`(?m)^  ` + want + `$`).MatchString(out.String()) {
			t.Errorf("no line like %q in:\n%s", want, out.String())
		}
	}
}
