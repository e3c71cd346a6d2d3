package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"keyshield/internal/audit"
	"keyshield/internal/ledger"
)

// members are all that a line of the audit log can have.
var members = strings.Fields("seq time kind id user issuer user_key plan ip endpoint model status outcome code input_tokens output_tokens cost_nanousd at_ceiling_nanousd took_ms count action target why by prev hash")

// wantSoundLines holds every line of the files against what a line is, whoever reads
// it: as JSON, as a line, on a terminal.
func wantSoundLines(t *testing.T, data string) (lines []map[string]any) {
	t.Helper()
	text := allOf(t, filepath.Join(data, audit.Folder))
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(line, "{") { // head is a file of its own
			continue
		}
		var o map[string]any
		d := json.NewDecoder(strings.NewReader(line))
		d.UseNumber()
		if err := d.Decode(&o); err != nil || strings.TrimSpace(line[d.InputOffset():]) != "" {
			t.Errorf("a line is no JSON object: %v %q", err, line)
			continue
		}
		for name := range o {
			if !slices.Contains(members, name) {
				t.Errorf("a line has a member %q: %s", name, line)
			}
		}
		if n := strings.Count(line, `"seq":`); n != 1 {
			t.Errorf("a line has %d numbers: %s", n, line)
		}
		lines = append(lines, o)
	}
	if i := strings.IndexFunc(text, func(c rune) bool {
		return c != '\n' && c < ' ' || c == 0x7f || c >= 0x80 && c < 0xa0 || c == 0x2028 || c == 0x2029 || c == 0x202e || c == 0xfffd || c == 0xfeff
	}); i >= 0 {
		t.Errorf("the files hold %q", text[max(0, i-60):min(len(text), i+60)])
	}
	verified(t, data)
	return lines
}

// hostile are texts that mean to be more than a value.
func hostile() []string {
	const forged = `{"seq":1,"time":"2026-11-22T00:00:00.000000Z","kind":"operator","action":"enable","target":"everything"}`
	return []string{
		"a\r\n" + forged, "a\n" + forged + "\n", "a\r", "a\nb", "a\x00b", "a\x1b[2Jb", "a\x7fb", "a\u0085b", "a\u2028" + forged, "a\u2029b", "a\u202eb\u2066", "\ufeffa",
		`a","user":"admin","x":"`, `a"}` + forged, `a\`, `a\"`, `a\n`, `\u0000`, `</script><script>alert(1)</script>`, `=cmd|'/c calc'!A1`, "@everyone", "${jndi:ldap://x/a}", "%0d%0a" + forged, "%s%n%d",
		strings.Repeat("a", 256), strings.Repeat("ü", 128), strings.Repeat("a", 257), strings.Repeat("😀", 1024), strings.Repeat("a", 4096), "a\xffb", "\xc0\xaf", "\xed\xa0\x80", "é", "אב", " a ",
	}
}

// tokenOf is a soundly signed token whose claims hold text as it is, escaped for
// JSON only.
func tokenOf(text string) string {
	var quoted bytes.Buffer
	e := json.NewEncoder(&quoted)
	e.SetEscapeHTML(false)
	_ = e.Encode(text)
	value := strings.TrimSpace(quoted.String())
	if !strings.Contains(text, "\ufffd") && strings.Contains(value, `\ufffd`) { // json mends what is no UTF-8; a forger would not
		value = `"` + text + `"`
	}
	claims := fmt.Sprintf(`{"sub":%s,"plan":%s,"exp":%d}`, value, value, time.Now().Add(time.Hour).Unix())
	return sign(plainHeader, claims, jwtSecret, sha256.New)
}

// TestDrillNothingAClientSendsMakesALine: control characters, quotes and forged records in
// everything that a client can choose, as a user and as a stranger.
func TestDrillNothingAClientSendsMakesALine(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	r := startV1(t, "DATA_DIR="+data, "TRUSTED_PROXY=1", "AUTO_DISABLE=off", "LOG_LEVEL=debug")
	want := map[string]string{} // the user of a request
	keep := func(user string, got reply) {
		if got.status == 401 || got.status == 403 {
			return // nobody
		}
		want[got.header.Get("X-Request-Id")] = user
	}
	accepted := 0
	for _, text := range hostile() {
		bearer := "Authorization: Bearer " + tokenOf(text)
		got := r.ask("hi", bearer)
		if keep(text, got); got.status == 200 {
			accepted++
		}
		model, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		keep("ana", r.post("/v1/chat/completions", `{"model":`+string(model)+`,"messages":[{"role":"user","content":"hi"}]}`))
		line := strings.Map(func(c rune) rune { // what a client can put into a header's line at all
			if c < ' ' {
				return '_'
			}
			return c
		}, text)
		for _, name := range []string{"X-Request-Id", "X-Forwarded-For", "User-Agent", "Idempotency-Key", "X-User", "Content-Language"} {
			answers, _ := r.talk(r.hello("Connection: close", name+": "+line), 10*time.Second)
			for _, got := range answers {
				if got.status == 200 {
					keep("ana", got)
				}
			}
		}
		for _, raw := range []string{ // as they are: an answer is none of a known caller's, or it is ana's
			strings.Replace(r.hello("Connection: close"), "POST /api/generate-text", "POST /api/generate-text?"+text, 1),
			strings.Replace(r.hello("Connection: close"), "POST /api/generate-text", "GET /v1/models/"+text, 1),
			strings.Replace(r.hello("Connection: close"), "POST ", text+" ", 1),
			r.hello("Connection: close", "X-Request-Id: "+text),
		} {
			c := r.connect()
			go io.WriteString(c, raw)
			resp, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err == nil && resp.StatusCode != 401 && resp.StatusCode != 403 && resp.StatusCode != 405 && resp.Header.Get("X-Request-Id") != "" && !strings.HasPrefix(raw, "POST /api/generate-text\n") {
				want[resp.Header.Get("X-Request-Id")] = "?"
			}
			c.Close()
		}
	}
	if accepted < 10 {
		t.Errorf("only %d hostile names were let in: this shows little", accepted)
	}
	r.stop()
	seen := map[string]int{}
	for _, line := range wantSoundLines(t, data) {
		switch line["kind"] {
		case "request":
			id, _ := line["id"].(string)
			user, _ := line["user"].(string)
			if seen[id]++; seen[id] > 1 {
				t.Errorf("%s is recorded %d times", id, seen[id])
			}
			if named, known := want[id]; known && named != "?" && user != named && len(named) <= 256 {
				t.Errorf("a request of %q is recorded as %q's", named, user)
			}
		case "operator":
			if line["by"] != ledger.ByWatch || line["action"] != "spike" { // so many requests are unusual
				t.Errorf("an act was forged: %v", line)
			}
		}
	}
	for id, user := range want {
		if user != "?" && seen[id] != 1 {
			t.Errorf("a request of %.60q has %d records", user, seen[id])
		}
	}
}

// inLines sends n requests over so many connections, on each one after the other, and
// hands over the answers. It costs less than an http.Client.
func (r *rig) inLines(n, connections int, request func(i int) string, answer func(i int, got reply)) {
	r.t.Helper()
	var all []func()
	for first := range connections {
		all = append(all, func() {
			c := r.connect()
			defer c.Close()
			in := bufio.NewReader(c)
			for i := first; i < n; i += connections {
				io.WriteString(c, request(i))
				resp, err := http.ReadResponse(in, nil)
				if err != nil {
					r.t.Errorf("request %d of a line: %v", i, err)
					return
				}
				body, err := io.ReadAll(resp.Body)
				answer(i, reply{resp.StatusCode, resp.Header, string(body), err})
			}
		})
	}
	atOnce(all...)
}

// rawPost is a request of JSON that leaves its connection open.
func rawPost(path, body string, headers ...string) string {
	lines := append([]string{"POST " + path + " HTTP/1.1", "Host: x", "Content-Type: application/json", fmt.Sprint("Content-Length: ", len(body))}, headers...)
	return strings.Join(lines, "\r\n") + "\r\n\r\n" + body
}

// many is n, or less where a run must be short: it takes some seconds.
func many(n int) int {
	if testing.Short() {
		return n / 10
	}
	return n
}

// TestDrillNoRecordIsLostUnderLoad: 10,000 requests, paid and refused, of many users at
// once; each has its record, once.
func TestDrillNoRecordIsLostUnderLoad(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	r := start(t, "DATA_DIR="+data, "AUTO_DISABLE=off", "LOG_LEVEL=error", "HOST=127.0.0.1", "PORT="+freePort(t))
	const users = 50 // of so few requests each that no two refusals share a line
	var tokens []string
	for i := range users {
		tokens = append(tokens, "Authorization: Bearer "+r.token(fmt.Sprint("user-", i)))
	}
	var mu sync.Mutex
	outcome := map[string]string{}
	n := many(10_000)
	r.inLines(n, 25, func(i int) string {
		text := ""
		if i%10 == 0 {
			text = "hi" // the others cost nothing, and so are fast
		}
		return rawPost("/api/generate-text", promptBody(text), tokens[i%users])
	}, func(i int, got reply) {
		mu.Lock()
		defer mu.Unlock()
		outcome[got.header.Get("X-Request-Id")] = map[int]string{200: audit.OK, 400: audit.Denied, 503: audit.Failed}[got.status] // 503: a machine too slow for the ledger
	})
	if len(outcome) != n {
		t.Errorf("%d requests had an id of their own", len(outcome))
	}
	r.stop()
	counts, wrong := map[string]int{}, 0
	for _, rec := range audits(t, data, audit.Query{Kind: audit.Request}) {
		if counts[rec.ID]++; rec.Outcome != outcome[rec.ID] {
			if wrong++; wrong < 5 {
				t.Errorf("%s is recorded as %s (%s), want %s", rec.ID, rec.Outcome, rec.Code, outcome[rec.ID])
			}
		}
	}
	for id := range outcome {
		if counts[id] != 1 {
			t.Fatalf("%s has %d records; in all there are %d", id, counts[id], len(counts))
		}
	}
	if lost := audits(t, data, audit.Query{Kind: audit.Lost}); len(lost) > 0 {
		t.Errorf("the log says that it lost something: %+v", lost)
	}
	verified(t, data)
}

// TestDrillKill9LosesNoRecord of a request whose answer was received: it has exactly one
// after the next start, its own, or one that says that nobody knows how it ended.
func TestDrillKill9LosesNoRecord(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	m := newMachine(t, data, "LOG_LEVEL=error", "AUTO_DISABLE=off")
	tokens := m.tokens(8)
	var mu sync.Mutex
	var answered []string
	var load sync.WaitGroup
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	for w := range 8 {
		load.Go(func() {
			for ctx.Err() == nil {
				prompt := []string{"hi", "hi", "[[sim chunks=5 pace=2ms]]", "", "[[sim status=500]]"}[rand.IntN(5)]
				if w == 0 {
					prompt = "[[sim latency=5s]]" // under way whenever the program is killed
				}
				id := m.whole(ctx, tokens[w], prompt)
				if id == "" {
					<-time.After(2 * time.Millisecond) // dead
					continue
				}
				mu.Lock()
				answered = append(answered, id)
				mu.Unlock()
			}
		})
	}
	const kills, between = 4, 40
	for kill := range kills {
		m.boot()
		eventually(t, 10*time.Second, func() bool { mu.Lock(); defer mu.Unlock(); return len(answered) >= (kill+1)*between })
		<-time.After(rand.N(30 * time.Millisecond))
		m.kill()
	}
	stop()
	load.Wait()
	m.boot()
	m.rested() // what the dead ones left open is given up, and written down

	var counts map[string]int
	outcomes := map[string]int{}
	complete := func() bool {
		counts = map[string]int{}
		clear(outcomes)
		for _, rec := range audits(t, data, audit.Query{Kind: audit.Request}) {
			counts[rec.ID]++
			outcomes[rec.Outcome]++
		}
		return !slices.ContainsFunc(answered, func(id string) bool { return counts[id] == 0 })
	}
	eventually(t, 10*time.Second, complete)
	wrong := 0
	for _, id := range answered {
		if n := counts[id]; n != 1 {
			if wrong++; wrong < 5 {
				t.Errorf("%s was answered, and has %d records", id, n)
			}
		}
	}
	for id, n := range counts {
		if n > 1 {
			t.Errorf("%s has %d records", id, n)
		}
	}
	if outcomes[audit.Unknown] == 0 {
		t.Error("no call was cut off: this shows little")
	}
	t.Logf("%d answers over %d kills; %d of them with another number of records than one; by outcome %v", len(answered), kills, wrong, outcomes)
	if len(answered) < kills*between {
		t.Errorf("%d answers: this shows nothing", len(answered))
	}
	verified(t, data)
}

// whole is the id of a request that was answered to its end; "" is none.
func (m *machine) whole(ctx context.Context, token, prompt string) string {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, m.url+"/api/generate-text", strings.NewReader(promptBody(prompt)))
	if err != nil {
		return ""
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+token)
	if strings.Contains(prompt, "chunks") {
		req.Header.Set("Accept", "text/event-stream")
	}
	resp, err := m.web.Do(req)
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return ""
	}
	return resp.Header.Get("X-Request-Id")
}

// TestDrillAFloodOfStrangersIsCountedAndNotListed: 20,000 requests without a token fill no
// disk, and none of them is forgotten.
func TestDrillAFloodOfStrangersIsCountedAndNotListed(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	r := start(t, "DATA_DIR="+data, "LOG_LEVEL=error", "HOST=127.0.0.1", "PORT="+freePort(t))
	floods := many(20_000)
	var refused atomic.Int64
	r.inLines(floods, 4, func(int) string {
		return "POST /api/generate-text HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"
	}, func(_ int, got reply) {
		if got.status == 401 {
			refused.Add(1)
		}
	})
	r.stop()
	if refused.Load() != int64(floods) {
		t.Errorf("%d were refused", refused.Load())
	}
	counted := map[string]int64{}
	records := audits(t, data, audit.Query{})
	for _, rec := range records {
		if rec.Kind == audit.Refused {
			counted[rec.Code] += rec.Count
		}
	}
	if len(records) >= 20 || counted["token_missing"] != int64(floods) {
		t.Errorf("%d lines, which count %v: want less than 20, and all of them", len(records), maps.Collect(maps.All(counted)))
	}
	verified(t, data)
}
