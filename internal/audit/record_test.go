package audit_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"keyshield/internal/audit"
	"keyshield/internal/money"
)

func full() audit.Record {
	return audit.Record{
		Seq: 7, Time: time.Date(2026, 11, 22, 4, 54, 10, 123456000, time.UTC), Kind: audit.Request, ID: "01J-abc",
		User: "auth0|ana", Issuer: "https://issuer.example/", UserKey: "u_1f2e", Plan: "free", IP: "2001:db8::1",
		Endpoint: "/v1/chat/completions", Model: "gpt-6-luna", Status: 200, Outcome: audit.OK, Code: "none",
		Input: 12, Output: 34, Cost: 5678, AtCeiling: 9, Took: 1234567 * time.Microsecond, Count: 3,
		Action: "disable", Target: "user:alice", Why: "too \"loud\"", By: "cli",
	}
}

func TestALineIsWhatTheDocumentationSays(t *testing.T) {
	r := full()
	line := string(audit.AppendLine(nil, &r))
	want := `{"seq":7,"time":"2026-11-22T04:54:10.123456Z","kind":"request","id":"01J-abc","user":"auth0|ana",` +
		`"issuer":"https://issuer.example/","user_key":"u_1f2e","plan":"free","ip":"2001:db8::1",` +
		`"endpoint":"/v1/chat/completions","model":"gpt-6-luna","status":200,"outcome":"ok","code":"none",` +
		`"input_tokens":12,"output_tokens":34,"cost_nanousd":5678,"at_ceiling_nanousd":9,"took_ms":1234.567,"count":3,` +
		`"action":"disable","target":"user:alice","why":"too \"loud\"","by":"cli","prev":"` + strings.Repeat("0", 64) + `"`
	covered, hash, ok := strings.Cut(line, `,"hash":"`)
	if !ok || covered != want {
		t.Errorf("the line is\n%s, want\n%s", covered, want)
	}
	sum := sha256.Sum256([]byte(covered))
	if want := hex.EncodeToString(sum[:]) + "\"}\n"; hash != want {
		t.Errorf("the hash is %s, want the one of all bytes before it, %s", hash, want)
	}

	empty := audit.Record{Seq: 1, Kind: audit.Start}
	members := map[string]any{}
	if err := json.Unmarshal(audit.AppendLine(nil, &empty), &members); err != nil {
		t.Fatal(err)
	}
	if got := slices.Sorted(maps.Keys(members)); !slices.Equal(got, []string{"hash", "kind", "prev", "seq", "time"}) {
		t.Errorf("an empty record has the members %v", got)
	}
}

func TestARecordSurvivesItsLine(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := func(name string, limit int) string {
			s := rapid.OneOf(rapid.String(), rapid.SampledFrom(hostile)).Draw(t, name)
			if len(s) > limit || !utf8.ValidString(s) {
				return ""
			}
			return s
		}
		number := func(name string) int64 { return rapid.Int64().Draw(t, name) }
		want := audit.Record{
			Seq:  rapid.Int64Range(1, math.MaxInt64).Draw(t, "seq"),
			Time: time.UnixMicro(rapid.Int64Range(-62135596800000000, 253402300799999999).Draw(t, "time")).UTC(),
			Kind: audit.Kind(text("kind", audit.MaxText)), ID: text("id", audit.MaxText),
			User: text("user", audit.MaxText), Issuer: text("issuer", audit.MaxText), UserKey: text("key", audit.MaxText),
			Plan: text("plan", audit.MaxText), IP: text("ip", audit.MaxText), Endpoint: text("endpoint", audit.MaxText),
			Model: text("model", audit.MaxText), Status: int(number("status")), Outcome: text("outcome", audit.MaxText),
			Code: text("code", audit.MaxText), Input: number("in"), Output: number("out"),
			Cost: money.USD(number("cost")), AtCeiling: money.USD(number("ceiling")),
			Took:  time.Duration(rapid.Int64Range(0, math.MaxInt64/2_000_000).Draw(t, "took")) * time.Microsecond,
			Count: number("count"), Action: text("action", audit.MaxText), Target: text("target", audit.MaxText),
			Why: text("why", audit.MaxWhy), By: text("by", audit.MaxText),
		}
		line := bytes.TrimSuffix(audit.AppendLine(nil, &want), []byte{'\n'})
		got, err := audit.Read(line)
		if err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("read back (-want +got):\n%s", diff)
		}
		asJSON, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var again audit.Record
		if err := json.Unmarshal(asJSON, &again); err != nil {
			t.Fatalf("%s: %v", asJSON, err)
		}
		if diff := cmp.Diff(want, again); diff != "" {
			t.Errorf("through encoding/json (-want +got):\n%s", diff)
		}
	})
}

var hostile = []string{
	"a\r\nb", "\n{\"seq\":1}\n", `","hash":"00"}`, "\x00\x1b[2J", "\u2028\u2029", "\u0085\u009b31m", "\u202egnp.exe", "\xff\xfe\xc3",
	`\`, `"`, `\"`, "\\n", strings.Repeat("é", 500), strings.Repeat("\x00", 5000), strings.Repeat("\xff", 5000), strings.Repeat("\"", 5000),
	"\u007f", "\ufeff", "😀", "�", "",
}

// hostileLine checks that s, in every field, adds neither a line nor a member.
func hostileLine(t *testing.T, s string) {
	t.Helper()
	r := audit.Record{
		Seq: 1, Kind: audit.Kind(s), ID: s, User: s, Issuer: s, UserKey: s, Plan: s, IP: s, Endpoint: s, Model: s,
		Outcome: s, Code: s, Action: s, Target: s, Why: s, By: s,
	}
	line := audit.AppendLine(nil, &r)
	body, ended := bytes.CutSuffix(line, []byte{'\n'})
	if !ended || len(line) > audit.MaxLine {
		t.Fatalf("%q makes a line of %d bytes", s, len(line))
	}
	for _, c := range string(body) {
		if c < ' ' || c >= 0x7f && c < 0xa0 || c == 0x2028 || c == 0x2029 || c == 0x202e || c == utf8.RuneError && !strings.Contains(s, "�") && utf8.ValidString(s) {
			t.Fatalf("%q leaves %U in the line", s, c)
		}
	}
	var members map[string]any
	if err := json.Unmarshal(body, &members); err != nil {
		t.Fatalf("%q: %v", s, err)
	}
	if want := 4 + 15; s != "" && len(members) != want {
		t.Errorf("%q: the line has %d members, want %d", s, len(members), want)
	}
	got, err := audit.Read(body)
	if err != nil {
		t.Fatalf("%q: %v", s, err)
	}
	if len(got.User) > audit.MaxText || len(got.Why) > audit.MaxWhy {
		t.Errorf("%q is kept with %d and %d bytes", s, len(got.User), len(got.Why))
	}
	if utf8.ValidString(s) && len(s) <= audit.MaxText && got.User != s {
		t.Errorf("%q came back as %q", s, got.User)
	}
}

func TestHostileTextStaysOneLine(t *testing.T) {
	for _, s := range hostile {
		hostileLine(t, s)
	}
}

func FuzzHostileTextStaysOneLine(f *testing.F) {
	for _, s := range hostile {
		f.Add(s[:min(len(s), 400)])
	}
	f.Fuzz(func(t *testing.T, s string) {
		if len(s) <= 2000 {
			hostileLine(t, s)
		}
	})
}

// FuzzLine: what can be read at all has one meaning, and that is what is written
// for it.
func FuzzLine(f *testing.F) {
	r := full()
	f.Add(bytes.TrimSuffix(audit.AppendLine(nil, &r), []byte{'\n'}))
	for _, s := range hostile {
		r.Why, r.User = s, s
		f.Add(bytes.TrimSuffix(audit.AppendLine(nil, &r), []byte{'\n'}))
	}
	f.Add([]byte(`{"seq":1,"time":"2026-11-22T04:54:10.1+02:00","later":true,"other":-1.5,"text":"\u0041\/"}`))
	f.Add([]byte(`{"seq":01}`))
	f.Add([]byte(`{"seq":1,"user":"a","user":"b"}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		_, _ = audit.Read(line)
		var first audit.Record
		if first.UnmarshalJSON(line) != nil {
			return
		}
		if !json.Valid(line) {
			t.Fatalf("%q is no JSON and was read as %+v", line, first)
		}
		text, err := first.MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		var second audit.Record
		if err := second.UnmarshalJSON(text); err != nil {
			t.Fatalf("%q was read, and its line %q cannot be: %v", line, text, err)
		}
		again, _ := second.MarshalJSON()
		if !bytes.Equal(text, again) {
			t.Errorf("%q is written as %q and then as %q", line, text, again)
		}
	})
}

func TestLinesThatAreRefused(t *testing.T) {
	for _, line := range []string{
		"", "{}", "null", "[]", `{"seq":1`, `{"seq":0,"time":"2026-11-22T00:00:00Z"}`, `{"seq":-1,"time":"2026-11-22T00:00:00Z"}`,
		`{"seq":01,"time":"2026-11-22T00:00:00Z"}`, `{"seq":1}`, `{"seq":1,"time":"yesterday"}`,
		`{"seq":1,"time":"2026-11-22T00:00:00Z","user":"a","user":"b"}`,
		`{"seq":1,"time":"2026-11-22T00:00:00Z","user":"a","id":"b"}`,
		`{"seq":1,"time":"2026-11-22T00:00:00Z","seq":2}`,
		`{"seq":1,"time":"2026-11-22T00:00:00Z","status":"200"}`,
		`{"seq":1,"time":"2026-11-22T00:00:00Z","status":99999999999999999999}`,
		`{"seq":1,"time":"2026-11-22T00:00:00Z","took_ms":-1.5e3}`, `{"seq":1,"time":"2026-11-22T00:00:00Z","took_ms":0.}`,
		`{"seq":1,"kind":"request"}`, `{"seq":1,"time":"2026-11-22T00:00:00Z","LATER":1}`,
		`{"seq":1,"time":"2026-11-22T00:00:00Z","user":"\ud800"}`,
		`{"seq":1,"time":"2026-11-22T00:00:00Z","later":{"a":1}}`,
		"{\"seq\":1,\"time\":\"2026-11-22T00:00:00Z\",\"user\":\"a\nb\"}",
		"{\"seq\":1,\"time\":\"2026-11-22T00:00:00Z\",\"user\":\"\xff\"}",
		`{"seq":1,"time":"2026-11-22T00:00:00Z"}x`,
	} {
		var r audit.Record
		if err := r.UnmarshalJSON([]byte(line)); err == nil {
			t.Errorf("%s was read as %+v", line, r)
		}
	}
}

func BenchmarkLine(b *testing.B) {
	r := full()
	r.Why, r.Action, r.Target, r.By, r.Count = "", "", "", "", 0
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = audit.AppendLine(buf[:0], &r)
	}
}
