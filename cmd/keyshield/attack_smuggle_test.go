package main

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// smuggled is a second request, hidden in what follows the first. It must never
// be served: a proxy in front would take its answer for that of another client.
const smuggled = "POST /smuggled HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"

// ambiguous are requests whose end two servers may see in two places. %s is where
// the smuggled one follows.
func ambiguous(r *rig) map[string]string {
	bare := func(line string, more ...string) string {
		return strings.Join(append([]string{line, "Host: x", "Content-Type: application/json", "Authorization: Bearer " + r.token("ana")}, more...), "\r\n") + "\r\n\r\n"
	}
	post := func(more ...string) string { return bare("POST /api/generate-text HTTP/1.1", more...) }
	const chunked, end = "Transfer-Encoding: chunked", "0\r\n\r\n%s"
	const hello = "16\r\n{\"userPrompt\":\"hello\"}\r\n"
	cases := map[string]string{
		"CL before TE":              post("Content-Length: 5", chunked) + end,
		"TE before CL":              post(chunked, "Content-Length: 5") + end,
		"CL.TE, a whole body":       post("Content-Length: 500", chunked) + hello + end,
		"TE.CL":                     post(chunked, "Content-Length: 4") + hello + end,
		"TE.CL, CL 0":               post("Content-Length: 0", chunked) + end,
		"chunked alone":             post(chunked) + hello + end,
		"chunked, keep-alive":       post(chunked, "Connection: keep-alive") + hello + end,
		"chunked, refused":          post(chunked, "Origin: https://evil.example") + hello + end,
		"chunked to nowhere":        bare("POST /nowhere HTTP/1.1", chunked, "Content-Length: 3") + hello + end,
		"chunked to livez":          bare("GET /livez HTTP/1.1", chunked, "Content-Length: 3") + hello + end,
		"chunked GET":               bare("GET /openapi.yaml HTTP/1.1", chunked, "Content-Length: 3") + hello + end,
		"an unknown method":         bare("BREW /api/generate-text HTTP/1.1", chunked, "Content-Length: 3") + hello + end,
		"trailers":                  post(chunked, "Trailer: X-A") + hello + "0\r\nX-A: b\r\n\r\n%s",
		"trailing garbage":          post(chunked) + hello + "0\r\nGET /smuggled HTTP/1.1\r\n\r\n%s",
		"in capitals":               post("TRANSFER-ENCODING: CHUNKED", "Content-Length: 5") + end,
		"a folded TE":               post("Transfer-Encoding:\r\n chunked", "Content-Length: 5") + end,
		"a tab before the coding":   post("Transfer-Encoding:\tchunked", "Content-Length: 5") + end,
		"a bare LF before TE":       post("X: y\nTransfer-Encoding: chunked", "Content-Length: 5") + end,
		"two TE":                    post(chunked, chunked, "Content-Length: 5") + end,
		"two TE, one unknown":       post(chunked, "Transfer-Encoding: cow", "Content-Length: 5") + end,
		"TE xchunked":               post("Transfer-Encoding: xchunked", "Content-Length: 5") + end,
		"TE identity, chunked":      post("Transfer-Encoding: identity, chunked", "Content-Length: 5") + end,
		"TE chunked, identity":      post("Transfer-Encoding: chunked, identity", "Content-Length: 5") + end,
		"TE gzip, chunked":          post("Transfer-Encoding: gzip, chunked") + hello + end,
		"TE quoted":                 post("Transfer-Encoding: \"chunked\"", "Content-Length: 5") + end,
		"TE with a parameter":       post("Transfer-Encoding: chunked;q=1", "Content-Length: 5") + end,
		"TE with a vertical tab":    post("Transfer-Encoding: \x0bchunked", "Content-Length: 5") + end,
		"TE empty":                  post("Transfer-Encoding:", "Content-Length: 5") + end,
		"a space before the colon":  post("Transfer-Encoding : chunked", "Content-Length: 5") + end,
		"a space before the name":   bare("POST /api/generate-text HTTP/1.1\r\n Transfer-Encoding: chunked", "Content-Length: 5") + end,
		"CR in the name":            post("Foo\rTransfer-Encoding: chunked", "Content-Length: 5") + end,
		"NUL in the value":          post("Transfer-Encoding: chunked\x00", "Content-Length: 5") + end,
		"two lengths":               post("Content-Length: 5", "Content-Length: 6") + "12345%s",
		"a list of lengths":         post("Content-Length: 5, 6") + "12345%s",
		"a length with a sign":      post("Content-Length: +5") + "12345%s",
		"a negative length":         post("Content-Length: -5") + "12345%s",
		"a length in hex":           post("Content-Length: 0x5") + "12345%s",
		"a length with underscores": post("Content-Length: 1_0") + "12345%s",
		"a length beyond int64":     post("Content-Length: 92233720368547758080") + "12345%s",
		"an empty length":           post("Content-Length:") + "12345%s",
		"full-width digits":         post("Content-Length: \uff15") + "12345%s",
		"a chunk size with a sign":  post(chunked) + "+5\r\n12345\r\n" + end,
		"a chunk size in 0x":        post(chunked) + "0x5\r\n12345\r\n" + end,
		"a chunk size too large":    post(chunked) + "10000000000000005\r\n12345\r\n" + end,
		"an empty chunk size":       post(chunked) + "\r\n12345\r\n" + end,
		"a chunk that runs over":    post(chunked) + "5\r\n1234567\r\n" + end,
		"a chunk that ends in LF":   post(chunked) + "5\n12345\n0\n\n%s",
		"LF in a chunk extension":   post(chunked) + "5;a\nb\r\n12345\r\n" + end,
		"a huge chunk extension":    post(chunked) + "5;" + strings.Repeat("x", 1<<20) + "\r\n12345\r\n" + end,
		"many chunk extensions":     post(chunked) + strings.Repeat("1;"+strings.Repeat("x", 4000)+"\r\na\r\n", 1000) + end,
	}
	return cases
}

// TestNoSecondRequestIsSmuggled: of a request whose end is not beyond doubt, at most
// one answer comes, and then the connection is closed.
func TestNoSecondRequestIsSmuggled(t *testing.T) {
	t.Parallel()
	r := target(t)
	for name, request := range ambiguous(r) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantOneAnswer(t, r.in(t), strings.Replace(request, "%s", smuggled, 1))
		})
	}
	t.Cleanup(func() {
		for _, line := range r.log.records() {
			if line["path"] == "/smuggled" {
				t.Errorf("a smuggled request was served: %v", line)
			}
		}
	})
}

// TestAnHTTP10RequestWithAnEncodingIsTheLastOfItsConnection: HTTP/1.0 knows no chunks,
// so its framing is faulty (RFC 9112 §6.1); a proxy in front may think it does.
func TestAnHTTP10RequestWithAnEncodingIsTheLastOfItsConnection(t *testing.T) {
	t.Parallel()
	r := target(t)
	raw := strings.Replace(r.head("/api/generate-text", "Connection: keep-alive", "Transfer-Encoding: chunked", "Content-Length: 5"), "HTTP/1.1", "HTTP/1.0", 1)
	wantOneAnswer(t, r, raw+"\r\n0\r\n\r\n"+smuggled)
}

// TestOptionsOfTheServerIsNoWayAround: net/http answers "OPTIONS *" by itself unless
// told not to, and so with two lengths too.
func TestOptionsOfTheServerIsNoWayAround(t *testing.T) {
	t.Parallel()
	r := target(t)
	wantOneAnswer(t, r, "OPTIONS * HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"+smuggled)
}

func wantOneAnswer(t *testing.T, r *rig, raw string) {
	t.Helper()
	answers, ended := r.talk(raw, 3*time.Second)
	if len(answers) > 1 {
		t.Errorf("answers %v: the second request was served", statuses(answers))
	}
	if !ended {
		t.Errorf("answers %v, and the connection stays open", statuses(answers))
	}
	if len(answers) == 1 && answers[0].status >= 500 && answers[0].status != 501 {
		t.Errorf("%d: %s", answers[0].status, answers[0].body)
	}
}

// TestWhatALengthSaysIsBodyIsNoRequest: a request inside the body of another.
func TestWhatALengthSaysIsBodyIsNoRequest(t *testing.T) {
	t.Parallel()
	r := target(t)
	for _, first := range []string{"POST /api/generate-text", "POST /api/ai/chat", "GET /livez", "GET /openapi.yaml", "DELETE /api/generate-text", "POST /nowhere"} {
		for _, more := range []string{"", "Authorization: Bearer " + r.token("ana") + "\r\n", "Origin: https://evil.example\r\n", "Expect: 100-continue\r\n"} {
			raw := fmt.Sprintf("%s HTTP/1.1\r\nHost: x\r\n%sContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", first, more, len(smuggled), smuggled)
			// one more that ends the connection
			answers, ended := r.talk(raw+"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 5*time.Second)
			if len(answers) > 2 || !ended {
				t.Errorf("%s, %q: %v, ended: %v", first, more, statuses(answers), ended)
			}
		}
	}
	if strings.Contains(r.log.String(), "/smuggled") {
		t.Error("a body was served as a request")
	}
}

// TestPipelinedRequestsPassTheGatesEach.
func TestPipelinedRequestsPassTheGatesEach(t *testing.T) {
	t.Parallel()
	r := target(t, "RATE_LIMIT_USER=3/1h")
	r.untouched(func() {
		bad := strings.Replace(r.hello(), "Bearer ", "Bearer x", 1)
		answers, _ := r.talk(strings.Repeat(bad, 4)+strings.Replace(bad, "Host:", "Connection: close\r\nHost:", 1), 5*time.Second)
		for _, got := range answers {
			got.wants(t, 403, "token_invalid")
		}
	})
	answers, _ := r.talk(r.hello("Origin: "+origin)+r.hello("Origin: https://evil.example")+strings.Repeat(r.hello(), 4)+r.hello("Connection: close"), 10*time.Second)
	if got := fmt.Sprint(statuses(answers)); got != "[200 403 200 200 429 429 429]" {
		t.Errorf("got %s; each of seven pipelined requests must be judged by itself", got)
	}
	if n := r.asked(); n != 3 {
		t.Errorf("%d calls; want 3", n)
	}
}

// TestTheLogHoldsNothingOfABrokenBody: what stands where a trailer should may be the
// prompt of a client that counts its chunks badly.
func TestTheLogHoldsNothingOfABrokenBody(t *testing.T) {
	t.Parallel()
	r := target(t)
	for _, body := range []string{
		"0\r\nmy private words\r\n\r\n", "0\r\nmy private words: x\r\nmore\r\n\r\n", "0\r\n my private words\r\n\r\n", "my private words\r\n\r\n",
		"5\r\nmy private words\r\n0\r\n\r\n", "5;my private words\r\n12345\r\n0\r\nmy private words\x00: y\r\n\r\n",
	} {
		answers, _ := r.talk(r.head("/api/generate-text", "Transfer-Encoding: chunked")+"\r\n"+body, 5*time.Second)
		if len(answers) != 1 || answers[0].status != 400 {
			t.Errorf("%q: %v, want 400", body, statuses(answers))
		}
	}
	for _, line := range r.log.records() {
		if text := fmt.Sprint(line); strings.Contains(text, "private") {
			t.Errorf("the log repeats what a client sent: %v", line["error"])
		}
	}
}
