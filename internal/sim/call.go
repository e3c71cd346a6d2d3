package sim

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// call is one request on its way through the simulator.
type call struct {
	sim     *Sim
	w       http.ResponseWriter
	rc      *http.ResponseController
	r       *http.Request
	id      string // x-request-id
	key     string
	started time.Time
	timer   *time.Timer // reused for every wait of the call

	b     Behaviour
	req   request
	q     *question // the request's
	reply *reply
	due   due
	sent  int // bytes of text generated, per choice
	parts int // content chunks sent
	left  bool
}

// due is what a call owes if it ended now.
type due int

const (
	nothing   due = iota
	generated     // the input and the text until now; in full if harsh
	all
)

// How a call can end, apart from well (nil) and a *refusal.
var (
	errGone    = errors.New("the client left")
	errStopped = errors.New("the simulator was closed")
	errCut     = errors.New("the connection was to be broken off")
	errEnded   = errors.New("the answer was to end early")
)

func (s *Sim) newCall(w http.ResponseWriter, r *http.Request) *call {
	return &call{
		sim:     s,
		w:       w,
		rc:      http.NewResponseController(w),
		r:       r,
		id:      fmt.Sprintf("req_%016x%016x", rand.Uint64(), rand.Uint64()),
		started: time.Now(),
	}
}

// answer is the story of a call that may cost something.
func (c *call) answer(read reader) error {
	body, err := c.receive()
	if err != nil {
		return err
	}
	if err := c.authorize(); err != nil {
		return err
	}
	if c.r.Method != http.MethodPost {
		return wrongMethod(c.r)
	}
	if c.req, err = read(body, c.sim.options.Models); err != nil {
		return err
	}
	c.q = c.req.question()
	if err := c.behave(); err != nil {
		return err
	}
	if err := c.fits(); err != nil {
		return err
	}
	if c.reply, err = c.req.compose(c); err != nil {
		return err
	}
	c.due = c.terms()
	c.sim.books.accepted(c.q.stream, c.b.names())
	if err := c.wait(c.b.Latency); err != nil {
		return err
	}
	switch {
	case c.b.denies():
		return c.deny()
	case c.b.Fault == HangBefore:
		return c.hang()
	case c.b.Fault == Reset:
		return c.reset()
	case c.q.stream:
		return c.stream(c.req.(streamer).teller(c))
	}
	return c.whole()
}

// authorize wants a bearer key, and the right one if there is a right one.
func (c *call) authorize() error {
	scheme, key, _ := strings.Cut(c.r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || key == "" {
		return noKey()
	}
	c.key = key
	if !c.sim.accepts(key) {
		return wrongKey(key)
	}
	return nil
}

// behave settles how this call is answered: the default, the directive on top,
// and fail_times taken off.
func (c *call) behave() error {
	s := c.sim
	s.mu.Lock()
	defer s.mu.Unlock()
	c.b = s.mood.behaviour
	left := &s.mood.failures
	if prompt := c.q.asked; !s.options.NoDirectives && strings.Contains(prompt, opening) {
		b, rest, said, err := direct(c.b, prompt)
		if err != nil {
			return c.badDirective(err)
		}
		c.b, c.q.asked = b, rest
		if strings.Contains(said, "fail_times=") {
			return c.failSome(said)
		}
	}
	if c.b.FailTimes > 0 {
		if *left == 0 {
			c.b = c.b.normal()
		} else {
			*left--
		}
	}
	return nil
}

// maxFailing bounds the table of directives with fail_times.
const maxFailing = 10_000

// failSome counts a directive's own fail_times; s.mu is held.
func (c *call) failSome(said string) error {
	failing := c.sim.failing
	left, known := failing[said]
	switch {
	case !known && len(failing) >= maxFailing:
		return c.badDirective(errors.New("too many different directives with fail_times: POST /_sim/reset"))
	case !known:
		left = c.b.FailTimes
	}
	if left == 0 {
		c.b = c.b.normal()
	}
	failing[said] = max(left-1, 0)
	return nil
}

// terms says what the call owes while it is under way.
func (c *call) terms() due {
	switch {
	case c.b.denies() && c.b.Bill:
		return all
	case c.b.denies():
		return nothing
	}
	return generated
}

// end does to the connection what err asks for.
func (c *call) end(err error) {
	if no, ok := errors.AsType[*refusal](err); ok {
		c.refuse(no)
		return
	}
	switch err {
	case errCut, errStopped, errGone: // never a clean end
		panic(http.ErrAbortHandler)
	}
}

// wait sleeps for d, but no longer than the client stays.
func (c *call) wait(d time.Duration) error {
	if d <= 0 {
		return c.alive()
	}
	if c.timer == nil {
		c.timer = time.NewTimer(d)
	} else {
		c.timer.Reset(d)
	}
	select {
	case <-c.timer.C:
		return nil
	case <-c.r.Context().Done():
		return errGone
	case <-c.sim.done:
		return errStopped
	}
}

// alive reports whether there is still somebody to answer.
func (c *call) alive() error {
	select {
	case <-c.sim.done:
		return errStopped
	default:
	}
	if c.r.Context().Err() != nil {
		return errGone
	}
	return nil
}

// hang waits for the client to lose patience.
func (c *call) hang() error {
	select {
	case <-c.r.Context().Done():
		return errGone
	case <-c.sim.done:
		return errStopped
	}
}

// reset makes the kernel send RST instead of FIN.
func (c *call) reset() error {
	c.sim.leave(c, failed)
	conn, _, err := c.rc.Hijack()
	if err != nil { // HTTP/2: the stream is reset instead
		return errCut
	}
	if layer, ok := conn.(interface{ NetConn() net.Conn }); ok { // TLS
		conn = layer.NetConn()
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
	return errEnded
}

// send writes p and lets it leave at once. A write fails when the client has
// left, or when Close took away its time.
func (c *call) send(p []byte) error {
	_, err := c.w.Write(p)
	if err == nil {
		err = c.rc.Flush()
	}
	if err == nil {
		return nil
	}
	if alive := c.alive(); alive != nil {
		return alive
	}
	return errGone
}

// begin sets the headers OpenAI sends with every answer.
func (c *call) begin(status int, contentType string) {
	h := c.w.Header()
	for name, values := range constantHeaders {
		h[name] = values
	}
	if c.b.ContentType != "" {
		contentType = c.b.ContentType
	}
	h["Content-Type"] = []string{contentType}
	h["X-Request-Id"] = []string{c.id}
	h["Openai-Processing-Ms"] = []string{strconv.FormatInt(time.Since(c.started).Milliseconds(), 10)}
	if c.b.Leak == "header" {
		h["X-Debug-Authorization"] = []string{"Bearer " + c.key}
	}
	c.w.WriteHeader(status)
}

// constantHeaders are shared by all answers: nobody may append to the values.
var constantHeaders = map[string][]string{
	"Openai-Organization":            {"simulated-org"},
	"Openai-Project":                 {"proj_simulated"},
	"Openai-Version":                 {"2020-10-01"},
	"X-Ratelimit-Limit-Requests":     {"10000"},
	"X-Ratelimit-Limit-Tokens":       {"2000000"},
	"X-Ratelimit-Remaining-Requests": {"9999"},
	"X-Ratelimit-Remaining-Tokens":   {"1999900"},
	"X-Ratelimit-Reset-Requests":     {"6ms"},
	"X-Ratelimit-Reset-Tokens":       {"3ms"},
	"Set-Cookie":                     {"__cf_bm=simulated; path=/; HttpOnly; Secure; SameSite=None"},
	"Server":                         {"cloudflare"},
	"Cf-Ray":                         {"simulated-FRA"},
	"Alt-Svc":                        {`h3=":443"; ma=86400`},
	"X-Openai-Proxy-Wasm":            {"v0.1"},
	"Access-Control-Expose-Headers":  {"X-Request-ID"},
	"Cf-Cache-Status":                {"DYNAMIC"},
}
