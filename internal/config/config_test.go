package config_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyshield/internal/auth"
	"keyshield/internal/config"
	"keyshield/internal/limit"
	"keyshield/internal/policy"
)

const (
	testKey    = "test-key-Zq8fT3mW9xLc2Vb7"
	testSecret = "q7Xw2mPz9Lk4Vb8Tn3Rc6Hs1Jd5Fg0Ya"
)

// right is an environment that Serve accepts, with changes ("NAME=value", the
// last of a name counts; "NAME=" takes it away).
func right(changes ...string) []string {
	env := map[string]string{"OPENAI_API_KEY": testKey, "JWT_SECRET": testSecret, "ALLOWED_ORIGINS": "https://app.example.com"}
	for _, change := range changes {
		name, value, _ := strings.Cut(change, "=")
		env[name] = value
	}
	var lines []string
	for name, value := range env {
		lines = append(lines, name+"="+value)
	}
	return lines
}

func serve(t *testing.T, changes ...string) *config.Loaded {
	t.Helper()
	return config.Load(config.Serve, right(changes...), t.TempDir())
}

// problemOf returns what is wrong with name, and the line that mends it.
func problemOf(l *config.Loaded, name string) (text, fix string) {
	for _, p := range l.Problems {
		if p.Name == name {
			return p.Text, p.Fix
		}
	}
	return "", ""
}

func names(l *config.Loaded) (all []string) {
	for _, p := range l.Problems {
		all = append(all, p.Name)
	}
	return all
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestDefaultsAreTheDocumentedOnes(t *testing.T) {
	l := serve(t)
	if len(l.Problems) > 0 {
		t.Fatalf("the smallest right environment is refused: %+v", l.Problems)
	}
	c := l.Config
	got := map[string]any{
		"PORT": c.Server.Port, "HOST": c.Server.Host, "MAX_BODY": c.Server.MaxBody, "MAX_IN_FLIGHT": c.Server.MaxInFlight,
		"SHUTDOWN_GRACE": c.Server.ShutdownGrace, "LOG_LEVEL": c.Server.LogLevel.String(), "LOG_FORMAT": c.Server.LogFormat,
		"TRUSTED_PROXY": c.Server.TrustedProxy.String(), "ALLOWED_ORIGINS": c.Server.Origins,
		"OPENAI_BASE_URL": c.OpenAI.BaseURL, "UPSTREAM_TIMEOUT": c.OpenAI.UpstreamTimeout,
		"STREAM_IDLE_TIMEOUT": c.OpenAI.StreamIdleTimeout, "STREAM_MAX": c.OpenAI.StreamMax,
		"OPENAI_MODEL": c.Text.Model, "SYSTEM_PROMPT": c.Text.SystemPrompt, "MAX_OUTPUT_TOKENS": c.Text.MaxOutputTokens,
		"MAX_PROMPT_CHARS": c.Text.MaxPromptChars, "STRIP_HTML": c.Text.StripHTML, "TEMPERATURE": c.Text.Temperature,
		"REASONING_EFFORT": c.Text.ReasoningEffort, "JWT_USER_CLAIM": c.Auth.UserClaim, "JWT_MAX_LIFETIME": c.Auth.MaxLifetime,
		"RATE_LIMIT_IP": c.Limits.RateIP, "RATE_LIMIT_USER": c.Limits.RateUser, "MAX_STREAMS_PER_USER": c.Limits.MaxStreamsPerUser,
		"JWT_PLAN_CLAIM": c.Auth.PlanClaim, "BUDGET_MONTH": c.Money.BudgetMonth.String(), "BUDGET_DAY": c.Money.BudgetDay.String(),
		"BUDGET_USER_DAY": c.Money.BudgetUserDay.String(), "BUDGET_USER_MONTH": c.Money.BudgetUserMonth.String(), "BUDGET_SOFT": c.Money.BudgetSoft,
		"PRICE_MULTIPLIER": c.Multiplier, "HANGUP": c.Money.Hangup, "DRAIN_TOKENS": c.Money.DrainTokens, "LEDGER_EPHEMERAL": c.Ephemeral, "EXPOSE_BUDGET": c.Money.ExposeBudget,
		"ENDPOINTS": c.Server.Endpoints, "MAX_BODY_V1": c.Server.MaxBodyV1, "MODELS": c.V1.Models, "MAX_OUTPUT_TOKENS_V1": c.V1.MaxOutputTokensV1, "SYSTEM_PROMPT_V1": c.V1.SystemPromptV1,
	}
	want := map[string]any{
		"PORT": 3000, "HOST": "", "MAX_BODY": config.Bytes(64 << 10), "MAX_IN_FLIGHT": 10000,
		"SHUTDOWN_GRACE": 25 * time.Second, "LOG_LEVEL": "INFO", "LOG_FORMAT": "json",
		"TRUSTED_PROXY": "none", "ALLOWED_ORIGINS": config.Origins{Exact: []string{"https://app.example.com"}},
		"OPENAI_BASE_URL": "https://api.openai.com/v1", "UPSTREAM_TIMEOUT": time.Minute,
		"STREAM_IDLE_TIMEOUT": time.Minute, "STREAM_MAX": 10 * time.Minute,
		"OPENAI_MODEL": "gpt-6-luna", "SYSTEM_PROMPT": "You are a helpful assistant.", "MAX_OUTPUT_TOKENS": 150,
		"MAX_PROMPT_CHARS": 300, "STRIP_HTML": true, "TEMPERATURE": (*float64)(nil),
		"REASONING_EFFORT": "none", "JWT_USER_CLAIM": "sub", "JWT_MAX_LIFETIME": 24 * time.Hour,
		"RATE_LIMIT_IP": limit.Rate{Count: 20, Period: 15 * time.Minute}, "RATE_LIMIT_USER": limit.Rate{Count: 100, Period: time.Hour},
		"MAX_STREAMS_PER_USER": config.Cap(5),
		"JWT_PLAN_CLAIM":       "plan", "BUDGET_MONTH": "$20", "BUDGET_DAY": "$4",
		"BUDGET_USER_DAY": "$1", "BUDGET_USER_MONTH": "off", "BUDGET_SOFT": config.Percents{50, 80, 100},
		"PRICE_MULTIPLIER": policy.Same, "HANGUP": "cancel", "DRAIN_TOKENS": 1024, "LEDGER_EPHEMERAL": false, "EXPOSE_BUDGET": false,
		"ENDPOINTS": config.Endpoints{"text"}, "MAX_BODY_V1": config.Bytes(1 << 20), "MODELS": config.Models{"gpt-6-luna"}, "MAX_OUTPUT_TOKENS_V1": 2048, "SYSTEM_PROMPT_V1": "",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("defaults differ from the contract (-want +got):\n%s", diff)
	}
	if c.OpenAI.Key.Reveal() != testKey || c.Auth.Secret.Reveal() != testSecret {
		t.Error("a secret did not arrive")
	}
}

func TestEveryValueArrives(t *testing.T) {
	l := serve(t,
		"PORT=0", "HOST=::1", "PUBLIC_URL=https://api.example.com", "TRUSTED_PROXY=2", "MAX_BODY=1MiB", "MAX_IN_FLIGHT=7",
		"SHUTDOWN_GRACE=0s", "LOG_LEVEL=debug", "LOG_FORMAT=text",
		"OPENAI_BASE_URL=http://127.0.0.1:9/v1/", "OPENAI_ORGANIZATION=org-1", "OPENAI_PROJECT=proj_1",
		"UPSTREAM_TIMEOUT=2s", "STREAM_IDLE_TIMEOUT=3s", "STREAM_MAX=4s",
		"OPENAI_MODEL=gpt-5.4", "SYSTEM_PROMPT=Be brief.", "MAX_OUTPUT_TOKENS=20", "MAX_PROMPT_CHARS=9", "STRIP_HTML=false", "TEMPERATURE=0",
		"JWT_ISSUER=https://login.example.com/", "JWT_AUDIENCE=a, b", "JWT_USER_CLAIM=uid", "JWT_MAX_LIFETIME=1h",
		"RATE_LIMIT_IP=off", "RATE_LIMIT_USER=3/1m", "MAX_STREAMS_PER_USER=off", "JWT_PLAN_CLAIM=app.plan",
		"BUDGET_MONTH=30", "BUDGET_DAY=$2.50", "BUDGET_USER_DAY=0.5", "BUDGET_USER_MONTH=3", "BUDGET_SOFT=10%, 99%", "PRICE_MULTIPLIER=1.25",
		"HANGUP=drain", "DRAIN_TOKENS=7", "DATA_DIR=/tmp", "LEDGER_EPHEMERAL=accept", "EXPOSE_BUDGET=true")
	if len(l.Problems) > 0 {
		t.Fatalf("problems: %+v", l.Problems)
	}
	c := l.Config
	if c.Server.Port != 0 || c.Server.Host != "::1" || c.Server.TrustedProxy.Hops != 2 || c.Server.MaxBody != 1<<20 || c.Server.MaxInFlight != 7 ||
		c.Server.ShutdownGrace != 0 || c.Server.LogLevel.String() != "DEBUG" || c.Server.LogFormat != "text" {
		t.Errorf("server = %+v", c.Server)
	}
	if diff := cmp.Diff([]string{"https://app.example.com", "https://api.example.com"}, c.Server.Origins.Exact); diff != "" {
		t.Errorf("the server's own origin must be allowed (-want +got):\n%s", diff)
	}
	if c.OpenAI.BaseURL != "http://127.0.0.1:9/v1" || c.OpenAI.Organization != "org-1" || c.OpenAI.Project != "proj_1" ||
		c.OpenAI.UpstreamTimeout != 2*time.Second || c.OpenAI.StreamIdleTimeout != 3*time.Second || c.OpenAI.StreamMax != 4*time.Second {
		t.Errorf("openai = %+v", c.OpenAI)
	}
	if c.Text.Model != "gpt-5.4" || c.Text.SystemPrompt != "Be brief." || c.Text.MaxOutputTokens != 20 || c.Text.MaxPromptChars != 9 ||
		c.Text.StripHTML || c.Text.Temperature == nil || *c.Text.Temperature != 0 {
		t.Errorf("text = %+v; a temperature of 0 is not an unset one", c.Text)
	}
	if c.Auth.Issuer != "https://login.example.com/" || !slices.Equal(c.Auth.Audience, []string{"a", "b"}) || c.Auth.UserClaim != "uid" || c.Auth.MaxLifetime != time.Hour {
		t.Errorf("auth = %+v", c.Auth)
	}
	if !c.Limits.RateIP.Off() || c.Limits.RateUser != (limit.Rate{Count: 3, Period: time.Minute}) || !c.Limits.MaxStreamsPerUser.Off() {
		t.Errorf("limits = %+v", c.Limits)
	}
	m := c.Money
	if got := fmt.Sprint(m.BudgetMonth, m.BudgetDay, m.BudgetUserDay, m.BudgetUserMonth, m.BudgetSoft); got != "$30 $2.50 $0.50 $3 10%,99%" {
		t.Errorf("budgets = %s", got)
	}
	if c.Multiplier != 1250 || m.Hangup != "drain" || m.DrainTokens != 7 || m.DataDir != "/tmp" || !c.Ephemeral || !m.ExposeBudget || c.Auth.PlanClaim != "app.plan" {
		t.Errorf("money = %+v, multiplier %s, ephemeral %t, plan claim %s", m, c.Multiplier, c.Ephemeral, c.Auth.PlanClaim)
	}
	if int(c.Limits.MaxStreamsPerUser) < 1<<30 {
		t.Error("off must be a cap that nobody reaches, not zero streams")
	}
}

func TestAllProblemsAreReportedAtOnce(t *testing.T) {
	l := config.Load(config.Serve, []string{
		"PORT=abc", "MAX_BODY=lots", "UPSTREAM_TIMEOUT=soon", "STRIP_HTML=maybe", "RATE_LIMIT_IP=20", "TRUSTED_PROXY=perhaps",
		"OPENAI_BASE_URL=http://api.openai.com/v1", "AUTH_PROVIDER=mine", "OPENAI_ADMIN_KEY=" + testKey, "PUBLIC_URL=https://x.example.com/",
	}, t.TempDir())
	want := []string{
		"PORT", "PUBLIC_URL", "TRUSTED_PROXY", "ALLOWED_ORIGINS", "MAX_BODY", "OPENAI_API_KEY", "OPENAI_BASE_URL",
		"UPSTREAM_TIMEOUT", "STRIP_HTML", "AUTH_PROVIDER", "RATE_LIMIT_IP", "OPENAI_ADMIN_KEY",
	}
	if diff := cmp.Diff(want, names(l)); diff != "" {
		t.Errorf("problems, in the order of the settings (-want +got):\n%s\n%+v", diff, l.Problems)
	}
	for _, p := range l.Problems {
		if p.Text == "" || p.Fix == "" {
			t.Errorf("%+v: every problem says what is wrong and what to write", p)
		}
	}
}

func TestAnEmptyValueIsNoValue(t *testing.T) {
	l := serve(t, "PORT=", "RATE_LIMIT_IP=", "STRIP_HTML=", "TEMPERATURE=", "HOST=", "JWT_SECRET_FILE=", "OPENAI_ADMIN_KEY=", "RENDER=")
	if len(l.Problems) > 0 || l.Config.Server.Port != 3000 || l.Config.Limits.RateIP.Count != 20 || l.Sources["PORT"] != config.FromDefault {
		t.Errorf("compose files produce empty values; got %+v, PORT %d from %s", l.Problems, l.Config.Server.Port, l.Sources["PORT"])
	}
	if text, _ := problemOf(serve(t, "OPENAI_API_KEY="), "OPENAI_API_KEY"); !strings.Contains(text, "missing") {
		t.Errorf("an empty key counts as a key: %q", text)
	}
}

func TestDevNeedsNothing(t *testing.T) {
	l := config.Load(config.Dev, nil, t.TempDir())
	if len(l.Problems) > 0 || len(l.Warnings) > 0 {
		t.Fatalf("dev in an empty environment: %+v %v", l.Problems, l.Warnings)
	}
	c := l.Config
	if c.Server.Host != "127.0.0.1" || !c.Server.Origins.Localhost || c.Server.LogFormat != "text" || c.Limits.RateIP != (limit.Rate{Count: 600, Period: 15 * time.Minute}) {
		t.Errorf("dev's defaults: %+v %+v", c.Server, c.Limits)
	}
	if c.Money.DataDir != "" || l.Sources["DATA_DIR"] != config.FromDefault {
		t.Errorf("dev must be told that no folder was named; got %q", c.Money.DataDir)
	}
	if diff := cmp.Diff(config.Endpoints{"text", "chat", "responses", "embeddings", "moderations"}, c.Server.Endpoints); diff != "" {
		t.Errorf("dev opens (-want +got):\n%s", diff)
	}
	if !c.Auth.Secret.IsZero() || !c.OpenAI.Key.IsZero() || c.Auth.MaxLifetime != 24*time.Hour {
		t.Errorf("dev must be told that there is no secret and no key; auth = %+v", c.Auth)
	}
	if l.Sources["HOST"] != config.FromDefault {
		t.Errorf("HOST's source = %s, want default", l.Sources["HOST"])
	}
}

func TestDevStillRefusesWhatIsWrong(t *testing.T) {
	l := config.Load(config.Dev, []string{"PORT=abc", "JWT_SECRET=short", "ALLOWED_ORIGINS=*", "JWT_USER_CLAIM=user_metadata.id"}, t.TempDir())
	if diff := cmp.Diff([]string{"PORT", "ALLOWED_ORIGINS", "JWT_SECRET", "JWT_USER_CLAIM"}, names(l)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestDevIsToldWhereTheKeyComesFrom: a key that happens to be in the shell must
// not spend money, one in .env may.
func TestDevIsToldWhereTheKeyComesFrom(t *testing.T) {
	inShell := config.Load(config.Dev, []string{"OPENAI_API_KEY=" + testKey}, t.TempDir())
	if !inShell.FromShell("OPENAI_API_KEY") {
		t.Error("a key in the environment is from the shell")
	}

	dir := t.TempDir()
	write(t, filepath.Join(dir, "key"), testKey)
	byShell := config.Load(config.Dev, []string{"OPENAI_API_KEY_FILE=key"}, dir)
	if !byShell.FromShell("OPENAI_API_KEY") || byShell.Config.OpenAI.Key.Reveal() != testKey {
		t.Errorf("a file named by the environment is from the shell; problems %+v", byShell.Problems)
	}

	write(t, filepath.Join(dir, ".env"), "OPENAI_API_KEY_FILE=key\n")
	byDotEnv := config.Load(config.Dev, nil, dir)
	if byDotEnv.FromShell("OPENAI_API_KEY") || byDotEnv.Config.OpenAI.Key.Reveal() != testKey {
		t.Errorf("a file named by .env is not from the shell; problems %+v", byDotEnv.Problems)
	}

	write(t, filepath.Join(dir, ".env"), "OPENAI_API_KEY="+testKey+"\n")
	inDotEnv := config.Load(config.Dev, nil, dir)
	if inDotEnv.FromShell("OPENAI_API_KEY") || inDotEnv.Sources["OPENAI_API_KEY"] != config.FromDotEnv {
		t.Errorf("source = %s, want .env", inDotEnv.Sources["OPENAI_API_KEY"])
	}

	spoilt := config.Load(config.Dev, []string{"OPENAI_API_KEY=your-key-here"}, t.TempDir())
	if len(spoilt.Problems) > 0 || len(spoilt.Warnings) == 0 || !spoilt.Config.OpenAI.Key.IsZero() {
		t.Errorf("a spoilt key of the shell does not stop dev, and is not used: %+v %v", spoilt.Problems, spoilt.Warnings)
	}
}

// TestServeHasNoneOfDevsConveniences, whatever the variables say.
func TestServeHasNoneOfDevsConveniences(t *testing.T) {
	for _, origins := range []string{"none", "http://localhost:5173", "https://app.example.com"} {
		l := serve(t, "ALLOWED_ORIGINS="+origins, "DEV=1", "MODE=dev", "KEYSHIELD_DEV=true", "NODE_ENV=development", "LOCALHOST=true")
		if l.Config.Server.Origins.Localhost || slices.Contains(l.Config.Server.Origins.Exact, "http://localhost") {
			t.Errorf("ALLOWED_ORIGINS=%s: serve allows every port of localhost", origins)
		}
		if l.Config.Limits.RateIP.Count != 20 || l.Config.Server.Host != "" {
			t.Errorf("serve took dev's defaults: %+v", l.Config)
		}
	}
	if l := config.Load(config.Serve, nil, t.TempDir()); !slices.Equal(names(l), []string{"ALLOWED_ORIGINS", "OPENAI_API_KEY", "JWT_SECRET"}) {
		t.Errorf("an empty environment is refused for %v", names(l))
	}
}

func TestIdentityIsOneKindOnly(t *testing.T) {
	for _, tc := range []struct {
		about   string
		changes []string
		name    string
		fix     string
	}{
		{"neither", []string{"JWT_SECRET="}, "JWT_SECRET", "keyshield check prints"},
		{"secret and provider", []string{"AUTH_PROVIDER=firebase", "FIREBASE_PROJECT_ID=my-app-12345"}, "JWT_SECRET", "unset JWT_SECRET"},
		{"secret and key set", []string{"JWT_JWKS_URL=https://login.example.com/jwks", "JWT_ISSUER=https://login.example.com/"}, "JWT_SECRET", "unset JWT_SECRET"},
		{"key set without issuer", []string{"JWT_SECRET=", "JWT_JWKS_URL=https://login.example.com/jwks"}, "JWT_ISSUER", "JWT_ISSUER=https://"},
		{"provider without its own", []string{"JWT_SECRET=", "AUTH_PROVIDER=firebase"}, "FIREBASE_PROJECT_ID", "FIREBASE_PROJECT_ID="},
		{"provider's own without it", []string{"AUTH0_DOMAIN=example.eu.auth0.com"}, "AUTH0_DOMAIN", "AUTH_PROVIDER=auth0"},
		{"issuer against provider", []string{"JWT_SECRET=", "AUTH_PROVIDER=firebase", "FIREBASE_PROJECT_ID=my-app-12345", "JWT_ISSUER=https://x.example.com"}, "JWT_ISSUER", "unset JWT_ISSUER"},
		{"short", []string{"JWT_SECRET=only-thirty-one-characters-long"}, "JWT_SECRET", "keyshield check prints"},
		{"repeated", []string{"JWT_SECRET=" + strings.Repeat("ab", 30)}, "JWT_SECRET", "keyshield check prints"},
		{"quoted", []string{`JWT_SECRET="` + testSecret + `"`}, "JWT_SECRET", "keyshield check prints"},
		{"space at its end", []string{"JWT_SECRET=" + testSecret + "\n"}, "JWT_SECRET", "keyshield check prints"},
		{"the API key again", []string{"JWT_SECRET=" + testKey + testKey[:9], "OPENAI_API_KEY=" + testKey + testKey[:9]}, "JWT_SECRET", "keyshield check prints"},
		{"a public key", []string{"JWT_SECRET=-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE"}, "JWT_SECRET", "keyshield check prints"},
	} {
		l := serve(t, tc.changes...)
		if !slices.Contains(names(l), tc.name) {
			t.Errorf("%s: problems with %v, want one with %s", tc.about, names(l), tc.name)
			continue
		}
		if _, fix := problemOf(l, tc.name); !strings.Contains(fix, tc.fix) {
			t.Errorf("%s: the line to write is %q, want %q in it", tc.about, fix, tc.fix)
		}
	}

	l := serve(t, "JWT_SECRET=", "AUTH_PROVIDER=supabase", "SUPABASE_URL=https://abcdefgh.supabase.co")
	if len(l.Problems) > 0 || l.Config.Auth.Issuer != "https://abcdefgh.supabase.co/auth/v1" || l.Config.Auth.Provider != auth.Supabase {
		t.Errorf("a provider's preset: %+v %+v", l.Problems, l.Config.Auth)
	}
}
