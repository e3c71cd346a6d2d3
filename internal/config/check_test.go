package config_test

import (
	"slices"
	"strings"
	"testing"

	"keyshield/internal/config"
)

// TestWhatDoesNotParseOrIsOutOfBoundsIsRefused, never replaced by the default.
func TestWhatDoesNotParseOrIsOutOfBoundsIsRefused(t *testing.T) {
	for name, values := range map[string][]string{
		"PORT":                 {"abc", "-1", "65536", "3000 ", "3e3", "99999999999", "0x10", "３０００"},
		"HOST":                 {"127.0.0.1:3000", "http://127.0.0.1", "a b", "[::1]", "-x"},
		"TRUSTED_PROXY":        {"yes", "Render", "header:X-Real-IP", "99", "10.0.0.0/33"},
		"MAX_BODY":             {"0", "1023", "17MiB", "64KB", "64kib", "1.5MiB", "-1", "KiB", "9223372036854775807MiB", "1 MiB KiB"},
		"MAX_IN_FLIGHT":        {"0", "-5", "1000001", "many"},
		"SHUTDOWN_GRACE":       {"25", "-1s", "11m", "1 s"},
		"LOG_LEVEL":            {"loud", "INFO", "info+2", "0"},
		"LOG_FORMAT":           {"xml", "JSON"},
		"UPSTREAM_TIMEOUT":     {"60", "0s", "99ms", "31m"},
		"STREAM_IDLE_TIMEOUT":  {"0s", "forever"},
		"STREAM_MAX":           {"7h", "-1s"},
		"OPENAI_MODEL":         {"gpt 4", "../gpt-4o", "a,b", strings.Repeat("a", 129)},
		"SYSTEM_PROMPT":        {"\xff", "a\x00b", strings.Repeat("a", 65537)},
		"MAX_OUTPUT_TOKENS":    {"0", "-1", "128001", "150.5"},
		"MAX_PROMPT_CHARS":     {"0", "1000001"},
		"STRIP_HTML":           {"yes", "TRUE", "1", "on"},
		"TEMPERATURE":          {"-0.1", "2.1", "NaN", "Inf", "warm"},
		"REASONING_EFFORT":     {"max", "None", "a lot"},
		"AUTH_PROVIDER":        {"okta", "Firebase"},
		"JWT_MAX_LIFETIME":     {"59s", "721h", "-1h", "24"},
		"JWT_USER_CLAIM":       {"user_metadata.id", "exp", "a..b"},
		"RATE_LIMIT_IP":        {"20", "0/1m", "20/0s", "20/15", "-1/1m", "Off"},
		"RATE_LIMIT_USER":      {"1/1h/2", "x/1h"},
		"MAX_STREAMS_PER_USER": {"0", "-1", "100001", "OFF", "five"},
		"PUBLIC_URL":           {"https://api.example.com/", "api.example.com", "https://api.example.com/v1", "HTTPS://api.example.com", "ftp://x.example.com", "*"},
		"OPENAI_ORGANIZATION":  {"org 1", "org\n1", "ö"},
		"OPENAI_PROJECT":       {"proj:1"},
		"JWT_PLAN_CLAIM":       {"user_metadata.plan", "a..b"},
		"BUDGET_MONTH":         {"0", "$0.00", "-1", "20 EUR", "1e3", "1,000", "1000001", "0.0000000001", "Off", "none", "unlimited"},
		"BUDGET_DAY":           {"0", "20%"},
		"BUDGET_USER_DAY":      {"0", "$"},
		"BUDGET_USER_MONTH":    {"0", "five"},
		"BUDGET_SOFT":          {"50", "0%", "101%", "80%,50%", "50%,50%", "50%,", "half", "OFF", "-5%", "50 %"},
		"PLANS_FILE":           {"/nowhere/plans.json", "/tmp"},
		"PRICES_FILE":          {"/nowhere/prices.json", "/tmp"},
		"PRICE_MULTIPLIER":     {"0", "0.9", "-1", "101", "1.0001", "1,1", "twice"},
		"HANGUP":               {"wait", "Cancel"},
		"DRAIN_TOKENS":         {"0", "128001", "all"},
		"DATA_DIR":             {"/dev/null", "/dev/null/data"},
		"LEDGER_EPHEMERAL":     {"true", "yes", "Accept"},
		"EXPOSE_BUDGET":        {"yes", "1"},
		"ENDPOINTS":            {"all", "text,", ",", "Chat", "text,chat,text", "chat/completions", "text;chat", "none", strings.Repeat("chat,", 1000)},
		"MAX_BODY_V1":          {"0", "17MiB", "1MB", "off"},
		"MODELS":               {"gpt 4", ",", "gpt-6-luna,", "gpt-6-luna,gpt-6-luna", "none of them", "gpt-99-mystery", "gpt-4o-latest", "o1-pro", strings.Repeat("a", 129), strings.Repeat("a,", 1000)},
		"MAX_OUTPUT_TOKENS_V1": {"15", "0", "-1", "128001", "2k", "off"},
		"SYSTEM_PROMPT_V1":     {"\xff", "a\x00b", strings.Repeat("a", 65537)},
	} {
		for _, value := range values {
			l := serve(t, name+"="+value)
			if !slices.Equal(names(l), []string{name}) {
				t.Errorf("%s=%.40q: problems with %v, want exactly one, with it", name, value, names(l))
				continue
			}
			text, fix := problemOf(l, name)
			if text == "" || strings.HasPrefix(text, name) || !strings.Contains(fix, name) {
				t.Errorf("%s=%.40q: %q, %q: the text is read after the name, the fix is a line with it", name, value, text, fix)
			}
			if len(text) > 400 {
				t.Errorf("%s: a long value is quoted whole, in %d bytes", name, len(text))
			}
		}
	}
}

// TestFixesAreRight: whoever writes the line that is proposed has solved it.
func TestFixesAreRight(t *testing.T) {
	for _, wrong := range []string{
		"PORT=abc", "HOST=a b", "TRUSTED_PROXY=yes", "MAX_BODY=x", "MAX_IN_FLIGHT=x", "SHUTDOWN_GRACE=x", "LOG_LEVEL=x", "LOG_FORMAT=x",
		"OPENAI_BASE_URL=x", "UPSTREAM_TIMEOUT=x", "STREAM_IDLE_TIMEOUT=x", "STREAM_MAX=x", "OPENAI_MODEL=a b", "SYSTEM_PROMPT=\xff",
		"MAX_OUTPUT_TOKENS=x", "MAX_PROMPT_CHARS=x", "STRIP_HTML=x", "TEMPERATURE=x", "REASONING_EFFORT=x", "JWT_USER_CLAIM=exp",
		"JWT_MAX_LIFETIME=x", "RATE_LIMIT_IP=x", "RATE_LIMIT_USER=x", "MAX_STREAMS_PER_USER=x", "PUBLIC_URL=api.example.com/",
		"BUDGET_MONTH=x", "BUDGET_DAY=0", "BUDGET_USER_DAY=x", "BUDGET_USER_MONTH=x", "BUDGET_SOFT=80%,50%,80%", "BUDGET_SOFT=x", "BUDGET_SOFT=200%", "PRICE_MULTIPLIER=x",
		"HANGUP=x", "DRAIN_TOKENS=x", "LEDGER_EPHEMERAL=x", "EXPOSE_BUDGET=x", "BUDGET_MONTH=off", "BUDGET_MONTH=0.0001", "BUDGET_USER_DAY=0.000001",
		"OPENAI_BASE_URL=https://llm.example.com/v1", "JWT_PLAN_CLAIM=sub", "JWT_USER_CLAIM=plan", "JWT_PLAN_CLAIM=a..b",
		"ALLOWED_ORIGINS=HTTPS://App.Example.com:443/x,localhost:3000", "REASONING_EFFORT=high", "ALLOWED_ORIGINS=",
		"ENDPOINTS=Text, moderation,Chat,response", "ENDPOINTS=all", "ENDPOINTS=chat,chat", "ENDPOINTS=embeddings", "ENDPOINTS=text,embeddings,chat", "MAX_BODY_V1=x", "MODELS=a b,gpt-6-sol",
		"MODELS=gpt-4o-latest", "MODELS=gpt-99-mystery,gpt-6-sol", "MODELS=text-embedding-3-small,text-embedding-3-small", "MAX_OUTPUT_TOKENS_V1=x", "SYSTEM_PROMPT_V1=\xff",
	} {
		l := serve(t, wrong)
		if len(l.Problems) == 0 {
			t.Errorf("%q is not refused", wrong)
		}
		changes := []string{wrong}
		for _, p := range l.Problems {
			changes = append(changes, p.Fix)
		}
		if again := serve(t, changes...); len(again.Problems) > 0 {
			t.Errorf("%q: after writing %q: %+v", wrong, changes[1:], again.Problems)
		}
	}
}

func TestBaseURLIsHTTPSOrThisMachine(t *testing.T) {
	for value, want := range map[string]string{
		"https://api.openai.com/v1":     "https://api.openai.com/v1",
		"https://api.openai.com/v1/":    "https://api.openai.com/v1",
		"https://API.openai.com/v1//":   "https://api.openai.com/v1",
		"https://eu.api.openai.com:443": "https://eu.api.openai.com:443",
		"http://127.0.0.1:4010/v1":      "http://127.0.0.1:4010/v1",
		"http://localhost:4010":         "http://localhost:4010",
		"http://[::1]:4010/v1/":         "http://[::1]:4010/v1",
	} {
		l := serve(t, "OPENAI_BASE_URL="+value)
		if len(l.Problems) > 0 || l.Config.OpenAI.BaseURL != want {
			t.Errorf("%s became %q, want %q; %+v", value, l.Config.OpenAI.BaseURL, want, l.Problems)
		}
	}
	for _, value := range []string{
		"http://api.openai.com/v1", "http://10.0.0.1/v1", "http://localhost.example.com/v1", "http://127.0.0.1.example.com",
		"https://user:" + testKey + "@api.openai.com/v1", "https://api.openai.com/v1?key=" + testKey, "https://api.openai.com/v1?", "https://api.openai.com/v1#x",
		"api.openai.com/v1", "ftp://api.openai.com", "https://", "https://:443/v1", "https:/api.openai.com", "//api.openai.com", "https://api openai.com", "https://api.openai.com:x/",
	} {
		l := serve(t, "OPENAI_BASE_URL="+value)
		text, _ := problemOf(l, "OPENAI_BASE_URL")
		if text == "" {
			t.Errorf("%s is accepted as %s: the key would go there", value, l.Config.OpenAI.BaseURL)
		}
		if strings.Contains(text, testKey) {
			t.Errorf("the problem quotes the URL and what is in it: %s", text)
		}
	}
}

func TestSpoiltKeysAreRefused(t *testing.T) {
	for _, key := range []string{
		"your-key-here", "sk-...", "sk-…", "<your key>", "sk-your-openai-api-key-goes-in-this-place", "changeme-changeme-changeme",
		"short", " " + testKey, testKey + "\n", testKey[:9] + " " + testKey[9:], testKey[:9] + "\r\n" + testKey[9:], "Bearer " + testKey,
		`"` + testKey + `"`, "'" + testKey + "'", testKey + "\u200b", "test–key–" + testKey, testKey + "\x7f", "sk-admin-" + testKey, strings.Repeat(testKey, 100),
	} {
		l := serve(t, "OPENAI_API_KEY="+key)
		text, fix := problemOf(l, "OPENAI_API_KEY")
		if text == "" {
			t.Errorf("a spoilt key (%d bytes) is accepted: %q", len(key), key)
		}
		if len(key) > 12 && (strings.Contains(text, key) || strings.Contains(fix, key)) {
			t.Errorf("the problem shows the key: %s %s", text, fix)
		}
	}
	if l := serve(t); len(l.Warnings) != 1 || !strings.Contains(l.Warnings[0], "sk-") {
		t.Errorf("OpenAI's keys begin with sk-, and this one does not; warnings %v", l.Warnings)
	}
	if l := serve(t, "OPENAI_BASE_URL=http://127.0.0.1:9/v1"); len(l.Warnings) != 0 {
		t.Errorf("what a simulator takes for a key is its own affair; warnings %v", l.Warnings)
	}
}

func TestAdminKeyIsRefusedWhereverItStands(t *testing.T) {
	if text, _ := problemOf(serve(t, "OPENAI_ADMIN_KEY="+testKey), "OPENAI_ADMIN_KEY"); !strings.Contains(text, "environment") || strings.Contains(text, testKey) {
		t.Errorf("in the environment: %q", text)
	}
	dir := t.TempDir()
	write(t, dir+"/.env", "OPENAI_ADMIN_KEY="+testKey)
	if text, _ := problemOf(config.Load(config.Serve, right(), dir), "OPENAI_ADMIN_KEY"); !strings.Contains(text, ".env") || strings.Contains(text, testKey) {
		t.Errorf("in .env: %q", text)
	}
	if l := config.Load(config.Dev, []string{"OPENAI_ADMIN_KEY=" + testKey}, t.TempDir()); len(l.Problems) > 0 || len(l.Warnings) != 1 {
		t.Errorf("dev does not spend, so it warns: %+v %v", l.Problems, l.Warnings)
	}
}

func TestPlatformsMustSayWhoIsBelieved(t *testing.T) {
	for variable, mode := range map[string]string{
		"RENDER=true":                            "render",
		"RAILWAY_ENVIRONMENT_ID=x":               "railway",
		"RAILWAY_PUBLIC_DOMAIN=x.up.railway.app": "railway",
		"RAILWAY_DEPLOYMENT_DRAINING_SECONDS=30": "railway",
		"FLY_APP_NAME=my-app":                    "fly",
		"DYNO=web.1":                             "heroku",
		"K_SERVICE=my-service":                   "cloudrun",
	} {
		if _, fix := problemOf(serve(t, variable), "TRUSTED_PROXY"); fix != "TRUSTED_PROXY="+mode {
			t.Errorf("%s: the line to add is %q, want TRUSTED_PROXY=%s", variable, fix, mode)
		}
		for _, said := range []string{mode, "none", "1"} { // whatever it is, it was decided
			if l := serve(t, variable, "TRUSTED_PROXY="+said, "LEDGER_EPHEMERAL=accept"); len(l.Problems) > 0 {
				t.Errorf("%s with TRUSTED_PROXY=%s: %+v", variable, said, l.Problems)
			}
		}
		if l := config.Load(config.Dev, []string{variable}, t.TempDir()); len(l.Problems) > 0 {
			t.Errorf("%s in dev: %+v", variable, l.Problems)
		}
	}
	for _, variable := range []string{"RENDER=", "RAILWAY_TOKEN=x", "RAILWAY_API_TOKEN=x", "RENDERER=x", "FLY=x"} {
		if l := serve(t, variable); len(l.Problems) > 0 {
			t.Errorf("%s is no platform: %+v", variable, l.Problems)
		}
	}
	l := serve(t, "KUBERNETES_SERVICE_HOST=10.0.0.1", "OPENAI_BASE_URL=http://127.0.0.1:9", "LEDGER_EPHEMERAL=accept")
	if len(l.Problems) > 0 || len(l.Warnings) != 2 || !strings.Contains(l.Warnings[0], "TRUSTED_PROXY") {
		t.Errorf("Kubernetes says nothing about its proxies, so it is a warning: %+v %v", l.Problems, l.Warnings)
	}
}

func TestOwnOriginJoinsTheAllowedOnes(t *testing.T) {
	for variable, want := range map[string]string{
		"RENDER_EXTERNAL_URL=https://x.onrender.com":       "https://x.onrender.com",
		"RAILWAY_PUBLIC_DOMAIN=x.up.railway.app":           "https://x.up.railway.app",
		"FLY_APP_NAME=my-app":                              "https://my-app.fly.dev",
		"HEROKU_APP_DEFAULT_DOMAIN_NAME=x-1.herokuapp.com": "https://x-1.herokuapp.com",
		"PUBLIC_URL=http://localhost:3000":                 "http://localhost:3000",
	} {
		l := serve(t, variable, "TRUSTED_PROXY=none")
		if !slices.Contains(l.Config.Server.Origins.Exact, want) || l.Config.Server.PublicURL != want {
			t.Errorf("%s: origins %v, public URL %s, want %s in them; %+v", variable, l.Config.Server.Origins, l.Config.Server.PublicURL, want, l.Problems)
		}
	}
	l := serve(t, "PUBLIC_URL=https://api.example.com", "RENDER_EXTERNAL_URL=https://x.onrender.com", "ALLOWED_ORIGINS=none")
	if got := l.Config.Server.Origins.String(); got != "https://api.example.com" {
		t.Errorf("origins = %s; PUBLIC_URL comes before what the platform says, and none before both", got)
	}
	if l := serve(t, "FLY_APP_NAME=a/b?c", "TRUSTED_PROXY=fly"); l.Config.Server.PublicURL != "" {
		t.Errorf("an app's name that makes no origin became %s", l.Config.Server.PublicURL)
	}
}

func TestWarnings(t *testing.T) {
	for change, want := range map[string]string{
		"RATE_LIMIT_IP=off":       "RATE_LIMIT_IP is off",
		"RATE_LIMIT_USER=off":     "RATE_LIMIT_USER is off",
		"MAX_PROMPT_CHARS=20000":  "MAX_BODY=80KiB",
		"PROT=1":                  "Did you mean PORT?",
		"BUDGET_DAY=25":           "BUDGET_DAY ($25) is more than BUDGET_MONTH ($20)",
		"BUDGET_DAY=off":          "a single day can spend the whole budget of the month ($20)",
		"BUDGET_MONTH=2":          "BUDGET_USER_DAY ($1) is more than BUDGET_DAY ($0.40)",
		"BUDGET_USER_DAY=5":       "BUDGET_USER_DAY ($5) is more than BUDGET_DAY ($4)",
		"BUDGET_USER_DAY=off":     "one user can spend what all together may",
		"BUDGET_USER_MONTH=0.5":   "BUDGET_USER_DAY ($1) is more than BUDGET_USER_MONTH ($0.50)",
		"BUDGET_USER_MONTH=21":    "BUDGET_USER_MONTH ($21) is more than BUDGET_MONTH ($20)",
		"BUDGET_USER_DAY=0.0002":  "To let any through: BUDGET_USER_DAY=0.01",
		"DRAIN_TOKENS=9":          "without HANGUP=drain",
		"LEDGER_EPHEMERAL=accept": "MAY BE FORGOTTEN WITH EVERY START",
	} {
		l := serve(t, change, "OPENAI_BASE_URL=http://127.0.0.1:9")
		if len(l.Problems) > 0 || len(l.Warnings) != 1 || !strings.Contains(l.Warnings[0], want) {
			t.Errorf("%s: warnings %q, want one with %q; %+v", change, l.Warnings, want, l.Problems)
		}
	}
	if l := config.Load(config.Dev, []string{"HOST=0.0.0.0"}, t.TempDir()); len(l.Warnings) != 1 || !strings.Contains(l.Warnings[0], "HOST") {
		t.Errorf("dev for the whole network: warnings %v", l.Warnings)
	}
}
