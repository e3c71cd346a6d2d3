package main

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

const corpora = "../../internal/prompt/testdata"

// jsonSuite is JSONTestSuite: texts by the name of their file, of which y_ is
// JSON, n_ is not, and parsers disagree about i_.
func jsonSuite(t *testing.T) map[string]string {
	t.Helper()
	files, _ := filepath.Glob(filepath.Join(corpora, "jsontestsuite", "test_parsing", "*.json"))
	if len(files) < 300 {
		t.Fatalf("JSONTestSuite is not here: %d files", len(files))
	}
	suite := map[string]string{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		suite[strings.TrimSuffix(filepath.Base(file), ".json")] = string(text)
	}
	return suite
}

func naughtyStrings(t *testing.T) (naughty []string) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(corpora, "blns", "blns.json"))
	if err == nil {
		err = json.Unmarshal(raw, &naughty)
	}
	if err != nil || len(naughty) < 500 {
		t.Fatalf("the naughty strings are not here: %d, %v", len(naughty), err)
	}
	return naughty
}

// gone is what the cleaning of a prompt takes out of it, in words that owe nothing
// to the code that does it. Tag characters stay in a flag.
var gone = regexp.MustCompile("(\U0001F3F4[\U000E0030-\U000E0039\U000E0061-\U000E007A]{3,7}\U000E007F)|" +
	"[\\x00-\\x08\\x0b-\\x1f\\x7f-\u009f\u00ad\u061c\u180e\u200b\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb\U000E0000-\U000E007F]")

// cleaned is s as it must arrive at OpenAI, if it holds no markup.
func cleaned(s string) string {
	return strings.TrimSpace(gone.ReplaceAllString(strings.TrimSpace(s), "$1"))
}

// roomy is a target for bodies and prompts of any length.
func roomy(t *testing.T, extra ...string) *rig {
	return target(t, append([]string{"MAX_BODY=1MiB", "MAX_PROMPT_CHARS=1000000"}, extra...)...)
}

// TestWhatIsNoJSONIsRefused: every text of the suite as the whole body, and as the
// value of the prompt. One that is no JSON is a 400 and costs no call; and no text
// makes us fail.
func TestWhatIsNoJSONIsRefused(t *testing.T) {
	t.Parallel()
	r := roomy(t)
	for name, text := range jsonSuite(t) {
		for form, body := range map[string]string{"alone": text, "as the prompt": `{"userPrompt":` + text + `}`, "beside the prompt": `{"userPrompt":"hi","stream":` + text + `}`} {
			before := r.asked()
			got := r.post("/api/generate-text", body)
			calls := r.asked() - before
			prompt := struct{ UserPrompt *string }{}
			good := form == "as the prompt" && !strings.HasPrefix(name, "n_") && json.Unmarshal([]byte(body), &prompt) == nil &&
				prompt.UserPrompt != nil && cleaned(*prompt.UserPrompt) != "" && got.status == 200
			switch p := (problem{}); {
			case good:
				if arrived := r.lastPrompt(); calls != 1 || arrived != cleaned(*prompt.UserPrompt) {
					t.Errorf("%s %s: %d calls, %+q arrived, want %+q", name, form, calls, arrived, cleaned(*prompt.UserPrompt))
				}
			case form == "beside the prompt" && (strings.TrimSpace(text) == "true" || strings.TrimSpace(text) == "false") && got.status == 200:
			default:
				p = got.problem(t)
				if got.status != 400 || calls != 0 {
					t.Errorf("%s %s: %d %s and %d calls; want 400 and none", name, form, got.status, p.Code, calls)
				}
				if strings.HasPrefix(name, "n_") && p.Code != "invalid_json" && p.Code != "invalid_utf8" {
					t.Errorf("%s %s: %s; want it refused for what it is", name, form, p.Code)
				}
			}
		}
	}
	for name, text := range jsonSuite(t) {
		if strings.HasPrefix(name, "y_string") && name != "y_string_space" {
			var one []string
			if json.Unmarshal([]byte(text), &one) != nil || len(one) != 1 || cleaned(one[0]) == "" {
				continue
			}
			inner := strings.TrimSpace(text)
			got := r.post("/api/generate-text", `{"userPrompt":`+inner[1:len(inner)-1]+`}`)
			if got.status != 200 || r.lastPrompt() != cleaned(one[0]) {
				t.Errorf("%s: %d, %+q arrived, want %+q", name, got.status, r.lastPrompt(), cleaned(one[0]))
			}
		}
	}
}

// TestATextAboutJSONArrives: every text of the suite that is text, as a prompt.
func TestATextAboutJSONArrives(t *testing.T) {
	t.Parallel()
	r := roomy(t)
	for name, text := range jsonSuite(t) {
		if utf8.ValidString(text) && !strings.Contains(text, "<") {
			wantArrival(t, r, name, text)
		}
	}
}

// TestNaughtyStringsArrive: byte for byte, apart from the documented cleaning.
func TestNaughtyStringsArrive(t *testing.T) {
	t.Parallel()
	for _, strip := range []string{"true", "false"} {
		t.Run("STRIP_HTML="+strip, func(t *testing.T) {
			t.Parallel()
			r := roomy(t, "STRIP_HTML="+strip)
			for _, s := range naughtyStrings(t) {
				if strip == "true" && strings.Contains(s, "<") {
					wantNoMarkup(t, r, s)
					continue
				}
				wantArrival(t, r, "", s)
				if prompt := strings.TrimSpace(s); len(prompt) > 12 && strings.Contains(r.log.String(), prompt) {
					t.Errorf("the log has the prompt %+.80q", prompt)
				}
			}
		})
	}
}

// wantArrival asks s by both endpoints in turn and compares what OpenAI got.
func wantArrival(t *testing.T, r *rig, name, s string) {
	t.Helper()
	want := cleaned(s)
	before := r.asked()
	got := r.ask(s)
	if want == "" {
		if p := got.problem(t); got.status != 400 || p.Code != "prompt_empty" && p.Code != "invalid_prompt" || r.asked() != before {
			t.Errorf("%s %+.100q: %d %s; want it refused as empty", name, s, got.status, p.Code)
		}
		return
	}
	if got.status != 200 || r.asked() != before+1 {
		t.Errorf("%s %+.100q: %d after %d calls: %.200s", name, s, got.status, r.asked()-before, got.body)
		return
	}
	if arrived := r.lastPrompt(); arrived != want {
		t.Errorf("%s %+.100q arrived as %+.100q, want %+.100q", name, s, arrived, want)
	}
}

// dangerous is markup that a page would act on.
var dangerous = regexp.MustCompile(`(?i)</?(script|img|svg|iframe|a|b|body|div|input|style|br|object|embed|link|meta|form|video|audio|math|table)[\s/>]|<!--`)

func wantNoMarkup(t *testing.T, r *rig, s string) {
	t.Helper()
	got := r.ask(s)
	if got.status == 400 && got.problem(t).Code == "prompt_empty" {
		return
	}
	if got.status != 200 {
		t.Errorf("%+.100q: %d %.200s", s, got.status, got.body)
		return
	}
	if arrived := r.lastPrompt(); dangerous.MatchString(arrived) || len(arrived) > len(s) {
		t.Errorf("%+.200q arrived as %+.200q", s, arrived)
	}
}

// TestTextThatOnlyLooksLikeMarkupArrives byte for byte.
func TestTextThatOnlyLooksLikeMarkupArrives(t *testing.T) {
	t.Parallel()
	r := roomy(t)
	for _, s := range []string{
		"a < b and c > d", "List<String> xs = Map<K, V>", "if (x<y && y>z) {}", "&lt;b&gt; &amp;amp; &#60;", "<3 </3 >_<", "<?php echo 1 ?>", "1 <- 2", "<<EOF", "x <= y",
		"e\u0301 is not \u00e9", "\u0646\u200c\u0647", "\U0001F468\u200d\U0001F469\u200d\U0001F467", "\U0001F3F4\U000E0067\U000E0062\U000E0065\U000E006E\U000E0067\U000E007F",
		"a\tb\n\nc", `\u0000 \n \" as text`, `"quoted" and \back\`, "a\u2028b\u2029c", "price < 5", "\U00010348 \U0010FFFD", "{{7*7}} ${7*7} #{7*7}", "'; DROP TABLE users; --",
	} {
		if got := r.ask(s); got.status != 200 {
			t.Errorf("%+q: %d %s", s, got.status, got.body)
		}
		if arrived := r.lastPrompt(); arrived != s {
			t.Errorf("%+q arrived as %+q", s, arrived)
		}
	}
}

// TestNaughtyStringsAnywhereElseDoNoHarm: as names of members, in headers, in
// addresses, as methods. None is a fault of ours, and none costs a call.
func TestNaughtyStringsAnywhereElseDoNoHarm(t *testing.T) {
	t.Parallel()
	r := roomy(t)
	legal := func(s string) bool {
		return strings.TrimSpace(s) != "" && !strings.ContainsFunc(s, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f })
	}
	gates := []struct {
		header string
		status int
	}{{"Content-Type", 415}, {"Content-Encoding", 415}, {"Authorization", 401}, {"Origin", 403}}
	r.untouched(func() {
		for i, s := range naughtyStrings(t) {
			name, _ := json.Marshal(s)
			got := r.post("/api/generate-text", `{"userPrompt":"hi",`+string(name)+`:1}`)
			if p := got.problem(t); got.status != 400 || p.Code != "unknown_field" || strings.ContainsAny(p.Error, "<>&\u202e\u200b") {
				t.Errorf("as a member, %+.80q: %d %q", s, got.status, p.Error)
			}
			path := r.request("/", "{}")
			path.URL.Path = "/" + s
			if got := r.do(path); got.status != 404 {
				t.Errorf("as a path, %+.80q: %d", s, got.status)
			}
			if !legal(s) {
				continue
			}
			gate := gates[i%len(gates)]
			req := r.request("/api/generate-text", promptBody("hi"))
			req.Header[gate.header] = []string{s}
			if got := r.do(req); got.status != gate.status {
				t.Errorf("as %s, %+.80q: %d, want %d", gate.header, s, got.status, gate.status)
			}
		}
	})
	for _, s := range naughtyStrings(t) {
		if !legal(s) {
			continue
		}
		req := r.request("/api/generate-text?q="+"x", promptBody("hi"))
		for _, header := range []string{"Accept", "User-Agent", "X-Request-Id", "Referer", "Cookie", "Accept-Language", "X-Stainless-Lang", "Idempotency-Key", "Openai-Organization", "Traceparent"} {
			req.Header[header] = []string{s}
		}
		if got := r.do(req); got.status != 200 {
			t.Errorf("in harmless headers, %+.80q: %d %.100s", s, got.status, got.body)
		}
		all := r.sim.Requests()
		for name, values := range all[len(all)-1].Header {
			if strings.Contains(strings.Join(values, ""), s) && len(s) > 3 {
				t.Errorf("%+.80q reached OpenAI as %s: none of the client's headers is forwarded", s, name)
			}
		}
	}
	wellKept(t, r)
}

// TestAHostileContentTypeIsRefused: only uncompressed JSON in UTF-8 is read, since
// a browser asks for permission first only for that.
func TestAHostileContentTypeIsRefused(t *testing.T) {
	t.Parallel()
	r := target(t)
	r.untouched(func() {
		for _, kind := range []string{"", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=application/json", "text/plain; application/json", "text/plain;charset=application/json",
			"application/json, text/plain", "text/plain, application/json", "application/json; charset=utf-16", "application/json; charset=utf-7", "application/json; charset=utf-8; charset=utf-16", "application/json+x", "application/jsonx", "application / json", "application/json;=", "json"} {
			req := r.request("/api/generate-text", promptBody("hi"))
			req.Header["Content-Type"] = []string{kind}
			if got := r.do(req); got.status != http.StatusUnsupportedMediaType {
				t.Errorf("%q: %d, want 415", kind, got.status)
			}
		}
		for _, coding := range []string{"gzip", "br", "deflate", "identity, gzip", "x"} {
			r.ask("hi", "Content-Encoding: "+coding).wants(t, 415, "unsupported_media_type")
		}
	})
}
