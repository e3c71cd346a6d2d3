package main

import (
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// rates are the headers that describe a limit.
func rates(got reply) [4]string {
	h := got.header
	return [4]string{h.Get("RateLimit-Limit"), h.Get("RateLimit-Remaining"), h.Get("RateLimit-Reset"), h.Get("RateLimit-Policy")}
}

// trueWait is what a client must wait that has used up a limit of n in an hour,
// all of it in this hour: to the end of the hour, and on until what weighs from it
// leaves room for one more. It waits for a time that is not near the hour's end.
func trueWait(n int) (least, most int) {
	now := time.Now().UTC()
	rest := now.Truncate(time.Hour).Add(time.Hour).Sub(now)
	share := time.Duration(math.Ceil(float64(time.Hour) * 0.5 / float64(n)))
	seconds := int((rest + share + time.Second - 1) / time.Second)
	return seconds - 2, seconds + 2
}

// notAtTheTurn waits for the turn of an hour that is near: a count would fall into
// two windows.
func notAtTheTurn(t *testing.T) {
	if left := time.Hour - time.Duration(time.Now().UnixNano())%time.Hour; left < 20*time.Second {
		t.Logf("the hour ends in %v", left)
		<-time.After(left)
	}
}

func TestTheIPLimitSaysWhatIsLeftAndTheTrueWait(t *testing.T) {
	t.Parallel()
	notAtTheTurn(t)
	r := start(t, "RATE_LIMIT_IP=3/1h")
	for _, left := range []string{"2", "1", "0"} {
		got := r.ask("hi")
		if said := rates(got); got.status != http.StatusOK || said[0] != "3" || said[1] != left || said[3] != "3;w=3600" {
			t.Errorf("got %d %v, want 200 and 3, %s, …, 3;w=3600", got.status, said, left)
		}
	}
	for range 3 {
		got := r.ask("hi")
		p := got.wants(t, 429, "rate_limited")
		wantsRefusal(t, "over the limit", got, p)
		least, most := trueWait(3)
		wait, err := strconv.Atoi(got.header.Get("Retry-After"))
		if err != nil || wait < least || wait > most {
			t.Errorf("Retry-After is %q, want %d to %d: the true seconds left, never the whole window", got.header.Get("Retry-After"), least, most)
		}
		minutes := strconv.Itoa((wait + 59) / 60)
		if want := "Too many requests from this IP. Please try again after " + minutes + " minutes."; p.Error != want {
			t.Errorf("got the words %q, want %q", p.Error, want)
		}
		if said := rates(got); said[0] != "3" || said[1] != "0" || said[2] != strconv.Itoa(wait) {
			t.Errorf("a refusal says %v, want a limit of 3 with 0 left until Retry-After (%d)", said, wait)
		}
		if again := got.header.Get("X-Should-Retry"); (again == "false") != (wait > 60) {
			t.Errorf("x-should-retry is %q with a wait of %d s: SDKs do not wait for longer than a minute, but try again", again, wait)
		}
	}
	if calls := len(r.sim.Requests()); calls != 3 {
		t.Errorf("the provider was asked %d times, want 3", calls)
	}
}

// TestTheIPLimitCountsWhatCouldSpend: a bad token and a bad body count, for a
// flood of them is a flood; reading does not, and has ten times as much.
func TestTheIPLimitCountsWhatCouldSpend(t *testing.T) {
	t.Parallel()
	notAtTheTurn(t)
	r := start(t, "RATE_LIMIT_IP=3/1h")
	r.ask("hi", "Authorization:").wants(t, 401, "token_missing")
	r.post("/api/ai/chat", "no JSON").wants(t, 400, "invalid_json")
	for left := range 5 {
		if got, want := rates(r.get("/openapi.yaml")), strconv.Itoa(29-left); got[0] != "30" || got[1] != want || got[3] != "30;w=3600" {
			t.Errorf("reading says %v, want 30, %s, …, 30;w=3600: ten times the limit, under a key of its own", got, want)
		}
	}
	if got := r.ask("hi"); got.status != 200 || got.header.Get("RateLimit-Remaining") != "0" {
		t.Errorf("the third POST: %d with %s left, want 200 with 0", got.status, got.header.Get("RateLimit-Remaining"))
	}
	r.ask("hi", "Authorization:").wants(t, 429, "rate_limited") // above all cryptography
	for range 25 {
		r.get("/nowhere")
	}
	r.get("/nowhere").wants(t, 429, "rate_limited")
	if got := r.get("/livez"); got.status != 200 || got.header.Get("RateLimit-Limit") != "" {
		t.Errorf("livez: %d %v, want 200 and no limit", got.status, rates(got))
	}
}

func TestTheUserLimitFollowsTheUser(t *testing.T) {
	t.Parallel()
	notAtTheTurn(t)
	r := start(t, "RATE_LIMIT_USER=2/1h")
	bob := "Authorization: Bearer " + r.token("bob")
	for _, left := range []string{"1", "0"} {
		if got := r.ask("hi"); got.status != 200 || got.header.Get("RateLimit-Remaining") != left {
			t.Errorf("got %d with %s left, want 200 with %s", got.status, got.header.Get("RateLimit-Remaining"), left)
		}
	}
	got := r.post("/api/ai/chat", `{"message": "hi"}`, "Authorization: Bearer "+r.token("ana")) // another token, the same user
	p := got.wants(t, 429, "rate_limited")
	least, most := trueWait(2)
	wait, _ := strconv.Atoi(got.header.Get("Retry-After"))
	if wait < least || wait > most {
		t.Errorf("Retry-After is %q, want %d to %d", got.header.Get("Retry-After"), least, most)
	}
	if want := "Too many requests. Please try again after " + strconv.Itoa((wait+59)/60) + " minutes."; p.Error != want {
		t.Errorf("got the words %q, want %q: it is not about the address", p.Error, want)
	}
	if got := r.ask("hi", bob); got.status != 200 {
		t.Errorf("another user: %d, want 200", got.status)
	}
}

// TestTheLimitWithTheLeastLeftIsTold, whichever it is.
func TestTheLimitWithTheLeastLeftIsTold(t *testing.T) {
	t.Parallel()
	notAtTheTurn(t)
	for _, c := range []struct{ ip, user, limit, left string }{
		{"10/1h", "3/1h", "3", "2"},
		{"3/1h", "10/1h", "3", "2"},
		{"off", "3/1h", "3", "2"},
		{"3/1h", "off", "3", "2"},
		{"off", "off", "", ""},
	} {
		r := start(t, "RATE_LIMIT_IP="+c.ip, "RATE_LIMIT_USER="+c.user)
		for _, accept := range []string{"application/json", "text/event-stream", "text/plain"} {
			if accept != "application/json" && c.limit != "" {
				c.left = strconv.Itoa(must(strconv.Atoi(c.left)) - 1)
			}
			got := rates(r.ask("hi", "Accept:"+accept))
			if got[0] != c.limit || got[1] != c.left {
				t.Errorf("IP %s, user %s, %s: got %v, want %s with %s left", c.ip, c.user, accept, got, c.limit, c.left)
			}
		}
	}
}

func must(n int, err error) int {
	if err != nil {
		panic(err)
	}
	return n
}

// TestEveryAnswerBehindALimiterTellsTheLimit, refusals and provider's faults too.
func TestEveryAnswerBehindALimiterTellsTheLimit(t *testing.T) {
	t.Parallel()
	r := start(t, "RATE_LIMIT_IP=100/1h", "RATE_LIMIT_USER=100/1h")
	for name, got := range map[string]reply{
		"401": r.ask("hi", "Authorization:"), "403": r.ask("hi", "Authorization: Bearer x"), "400": r.ask(""), "413": r.ask(strings.Repeat("a", 1<<17)),
		"502": r.ask("[[sim status=500]]"), "404": r.get("/nothing"), "405": r.get("/api/ai/chat"), "v1": r.get("/v1/models"), "openapi": r.get("/openapi.yaml"),
	} {
		said := rates(got)
		for i, header := range []string{"RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"} {
			if _, err := strconv.Atoi(said[i]); err != nil {
				t.Errorf("%s: %s is %q, want a number", name, header, said[i])
			}
		}
	}
	// The provider's own limit is not one of ours: its wait is told, ours stays.
	if got := r.ask("[[sim status=429 retry_after=30]]"); got.header.Get("Retry-After") != "30" || got.header.Get("RateLimit-Limit") != "100" {
		t.Errorf("the provider's limit: Retry-After %s, %v", got.header.Get("Retry-After"), rates(got))
	}
}

// openStream begins a stream that stands still after two words.
func openStream(t testing.TB, r *rig, headers ...string) *http.Response {
	t.Helper()
	resp, err := r.web.Do(r.request("/api/generate-text", promptBody("[[sim fault=hang_mid]] hi"), append(headers, "Accept: text/event-stream")...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	if resp.StatusCode != http.StatusOK {
		body, _ := io.ReadAll(resp.Body)
		t.Fatalf("the stream did not begin: %d %s", resp.StatusCode, body)
	}
	return resp
}

func TestTooManyStreamsOfOneUser(t *testing.T) {
	t.Parallel()
	r := start(t, "MAX_STREAMS_PER_USER=2")
	openStream(t, r)
	second := openStream(t, r)
	for _, accept := range []string{"text/event-stream", "text/plain"} {
		got := r.ask("hi", "Accept:"+accept)
		p := got.wants(t, 429, "too_many_streams")
		wantsRefusal(t, accept, got, p)
		if got.header.Get("Retry-After") == "" || p.Error != "Too many answers are being streamed to you at once. Please wait until one has ended." {
			t.Errorf("Retry-After %q, %q", got.header.Get("Retry-After"), p.Error)
		}
	}
	if got := r.ask("hi"); got.status != 200 {
		t.Errorf("a whole answer takes no stream's place: got %d", got.status)
	}
	if got := r.ask("hi", "Accept: text/event-stream", "Authorization: Bearer "+r.token("bob")); got.status != 200 {
		t.Errorf("another user: got %d, want 200", got.status)
	}

	second.Body.Close() // the client leaves, and its place is free
	soon(t, "the place of a stream that was left", func() bool {
		return r.ask("hi", "Accept: text/event-stream").status == http.StatusOK
	})
	for range 5 { // those that end give theirs back at once
		r.ask("hi", "Accept: text/event-stream").wants200(t, eventForm)
		r.ask("[[sim fault=cut]]", "Accept: text/event-stream").wants200(t, eventForm)
		r.ask("[[sim status=500]]", "Accept: text/event-stream").wants(t, 502, "upstream_error")
	}
}

// soon asks again until yes, without a wait of its own: what is asked takes
// its time.
func soon(t testing.TB, what string, yes func() bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); !yes(); {
		if time.Now().After(deadline) {
			t.Fatalf("%s did not come about", what)
		}
	}
}

func TestAFullServerSaysSoAtOnce(t *testing.T) {
	t.Parallel()
	r := start(t, "MAX_IN_FLIGHT=2")
	openStream(t, r)
	second := openStream(t, r)
	for _, path := range []string{"/api/generate-text", "/api/ai/chat", "/nothing"} {
		got := r.post(path, promptBody("hi"), "Authorization:") // before anything is looked at
		p := got.wants(t, 503, "overloaded")
		wantsRefusal(t, path, got, p)
		if p.Error != busy || got.header.Get("Retry-After") == "" {
			t.Errorf("%s: %q with Retry-After %q", path, p.Error, got.header.Get("Retry-After"))
		}
	}
	if got := r.post("/v1/responses", "{}"); got.status != 503 || got.openAI(t).Code != "overloaded" || got.header.Get("Retry-After") == "" {
		t.Errorf("/v1: got %d %s", got.status, got.body)
	}
	if got := r.ask("hi", "Origin: "+origin); got.status != 503 || got.header.Get("Access-Control-Allow-Origin") != origin {
		t.Errorf("a browser must be able to read it: %d %v", got.status, got.header)
	}
	if got := r.get("/livez"); got.status != 200 {
		t.Errorf("a full server lives: livez is %d", got.status)
	}
	second.Body.Close()
	soon(t, "room for one more", func() bool { return r.ask("hi").status == http.StatusOK })
}
