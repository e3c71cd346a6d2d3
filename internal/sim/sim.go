// Package sim is an OpenAI to test on: it speaks the wire format of chat
// completions, responses, embeddings and moderations, breaks on demand in every
// way we know of, and keeps its own books of what it would have billed.
//
// It is reached over HTTP, like the provider it stands for: POST
// /v1/chat/completions, /v1/responses, /v1/embeddings and /v1/moderations, GET
// /v1/models, GET /v1/models/{id}, all with a bearer key, and GET
// /v1/organization/costs with an admin's. It refuses what OpenAI
// refuses (an unknown field, max_tokens for a model that reasons, an embedding by
// a chat model, a tool call without its answer, a previous response: it keeps
// none…) and answers with text that says it is a simulator and repeats the
// question. Like OpenAI it takes on /v1/responses the tools that run there, but it
// never calls them.
//
// # How it behaves
//
// A [Behaviour] is a set of words. There are three ways to say them:
//
//   - [Options].Behaviour, for every call;
//   - POST /_sim/behaviour with a JSON object such as {"status": 500, "latency":
//     "1s"}: replaces the default of every call from then on ({}: none);
//   - a directive in the last user message, or in the first input of embeddings and
//     moderations, for that call, on top of the default: "[[sim chunks=100
//     pace=20ms]] Tell me a story". A value with spaces is quoted like a Go string:
//     [[sim text="two words"]].
//
// An unknown word, a bad value and words that contradict each other are a 400
// that names them (type "sim_directive"). So is a word that lets something go
// wrong which the call cannot (a stream's end in a whole answer, a lie about the
// usage of a moderation); only of the words for an answer's shape those without
// meaning for it are ignored (pace in a whole answer, text in an embedding).
//
// The shape of an answer:
//
//	latency=1s       wait before anything is sent
//	pace=20ms        wait before each content chunk but the first (streams)
//	chunks=100       exactly so many content chunks, as far as the text reaches; of
//	                 each tool call
//	bytes=8          so many bytes of text per chunk, instead of a word (JSON: of six)
//	size=5000        so many bytes of text
//	text="…"         this text, whatever form was asked for
//	escape           every character of the text as \u00XX
//	model=…          the answer names this model
//	choices=2        so many choices, whatever n was (chat completions)
//	finish=…         stop, length or content_filter
//	refusal          the text comes in the refusal field
//	tool=name        a call of this tool, which the request must define
//	args="{…}"       its arguments or, of a custom tool, its input, right or wrong
//	calls=2          so many calls of it
//	flagged=hate     this category of the first result (moderations)
//	content_type=…   instead of application/json or text/event-stream
//
// A tool_choice that forces a tool is obeyed without a word; arguments nobody gave
// fit the tool's schema. When the conversation ends with the answers of tools, no
// tool is called: a text quotes them. When a JSON object or schema was asked for,
// the text is JSON that fits it, always the same for the same question.
//
// The books:
//
//	usage=…          missing, null, zero, negative, huge (int64's end), cached or
//	                 written (more such tokens than prompt tokens); the bill stays true
//	extra_tokens=16  so many output tokens more than the limit or the text, in usage
//	                 and on the bill
//	harsh            a token per byte, tool definitions and schemas twice, and every
//	                 call that was not refused is billed in full, however early it ended
//	bill             a call answered with status, html or redirect is billed in full
//
// What goes wrong:
//
//	status=503       OpenAI's error for 400…599; 401 repeats the ends of the key
//	quota            429 insufficient_quota instead of a rate limit
//	retry_after=20   the header, as is; retry_after_ms likewise
//	html             a page of a proxy in between; alone: with status 200
//	redirect=URL     to there, with status 307 unless status says 301…308
//	leak=…           the caller's key in the answer: whole (in one chunk), split (in
//	                 two), bytes (a chunk each), header, fields (ids, model,
//	                 fingerprint, tool name), error (the error's message or page),
//	                 last (only in a stream's end: a finish chunk's fingerprint, the
//	                 text of the last response event). In tool arguments as in text;
//	                 whole without either: a member "debug"
//	split=5          the bytes of the key before the cut of leak=split
//	fault=…          see below
//	at=2             content chunks before a fault in a stream strikes; -1: before any
//	                 chunk, right after the headers
//	amount=256MiB    how much an endless or giant fault sends at most
//	fail_times=2     only the first so many calls go wrong: counted per directive text,
//	                 or since the default was set
//	tag=…            no effect: tells two directives apart, and marks cancellations
//
// Faults, in a stream and otherwise:
//
//	hang_before      nothing is ever answered
//	hang_mid         stops sending; plain: after half the body
//	cut              connection broken off; plain: after half the announced body
//	eof              clean end without finish or [DONE]; plain: half a body, clean end
//	no_done          complete but for [DONE] or the last response event (streams only)
//	malformed        one chunk of broken JSON, then goes on; plain: a broken body
//	error_chunk      data: {"error": …}, the end; plain: 200 with an error object;
//	                 responses: event: error with code and message as documented
//	error_event      the same as event: error; responses: with an object "error" in it,
//	                 as it has been seen too
//	failed           responses: response.failed, with usage; plain: status failed
//	endless_line     a line that never ends; plain: a body that never ends
//	endless_comments comment lines; plain: white space
//	never_ending     chunk after chunk at pace (5ms if none); plain: white space
//	giant            one whole, valid chunk or body of amount bytes
//	reasoning_only   the output limit went to reasoning: empty text, finish length
//	null_content     content is null
//	invalid_utf8     the text contains bytes that are not UTF-8
//	reset            TCP reset once the request was read
//
// # What it bills
//
// Nano-dollars, exactly: input and output tokens times an own, small table; above
// 272,000 input tokens double and 1.5-fold for the families that do so, double for
// service tier priority and fast, half for flex. A token is four bytes of text,
// rounded up per call, or one of a token array, and models that reason do so unless
// told not to. Moderations are free. A call it refused costs nothing; a call that
// was cancelled or broke costs its input and the text generated until then. What a
// fault only pads (giant, endless_…) costs nothing, and never_ending costs at most
// what a complete answer would have.
//
// # The control endpoints
//
//	POST /_sim/behaviour   set the default (GET reads it)
//	GET  /_sim/report      the [Report]; with ?wait=2s&cancelled=20 it answers when that
//	                       many were reached (calls, completed, refused, failed,
//	                       cancelled: at least; open, open_streams: at most) or time is up
//	GET  /_sim/requests    the last [Request]s, oldest first
//	POST /_sim/keys        {"accept": ["…"]}: the bearer keys that are good from now
//	                       on; none: any. So one is revoked
//	POST /_sim/costs       [{"day": "2026-11-20", "project": "proj_a", "nano": 1000}]:
//	                       adds to what /v1/organization/costs says, beside the bill
//	POST /_sim/reset       forget calls, bill and requests; the default as it was
package sim

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Options is how a simulator starts out. The zero value answers everyone.
type Options struct {
	Key          string    // the only bearer key accepted at first; "": any
	AdminKey     string    // the only one accepted for the costs; "": any
	Models       []string  // the only models served; nil: any
	Behaviour    Behaviour // of every call that does not say otherwise
	Record       int       // how many requests to keep; 0: 64, negative: none
	ProjectTier  string    // service tier of calls that name none or "auto"; "": default
	NoDirectives bool      // prompts are only prompts
	NoControl    bool      // no /_sim/ endpoints
}

// Sim is a simulated OpenAI. Use New.
type Sim struct {
	options Options
	books   books
	ring    ring
	done    chan struct{}
	close   sync.Once

	mu      sync.Mutex // guards what follows
	mood    mood
	keys    []string           // that are accepted; none: any
	failing map[string]int     // fail_times left, by directive text
	open    map[*call]struct{} // calls under way, so that Close can end them
}

// mood is the default behaviour and how many of its failures are left.
type mood struct {
	behaviour Behaviour
	failures  int
}

// New makes a simulator. It panics when o.Behaviour contradicts itself, as only
// a mistake in the caller's code can bring that about.
func New(o Options) *Sim {
	if err := o.Behaviour.check(); err != nil {
		panic(fmt.Sprintf("sim: Options.Behaviour: %v", err))
	}
	if o.Record == 0 {
		o.Record = 64
	}
	s := &Sim{
		options: o,
		done:    make(chan struct{}),
		mood:    newMood(o.Behaviour),
		failing: map[string]int{},
		open:    map[*call]struct{}{},
	}
	if o.Key != "" {
		s.keys = []string{o.Key}
	}
	s.ring.size = max(o.Record, 0)
	s.books.clear()
	return s
}

func newMood(b Behaviour) mood { return mood{behaviour: b, failures: b.FailTimes} }

// Close breaks off every call under way, the hanging ones too, and every later
// one. It does not wait for them: the HTTP server's own Close does.
func (s *Sim) Close() {
	s.close.Do(func() {
		close(s.done)
		s.mu.Lock()
		defer s.mu.Unlock()
		for c := range s.open {
			// A handler that is stuck in a write does not see done.
			_ = c.rc.SetWriteDeadline(time.Unix(1, 0))
		}
	})
}

func (s *Sim) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path := r.URL.Path
	if name, ok := strings.CutPrefix(path, "/_sim/"); ok && !s.options.NoControl {
		s.control(w, r, name)
		return
	}
	switch {
	case path == "/v1/chat/completions":
		s.serve(w, r, readChat)
	case path == "/v1/responses":
		s.serve(w, r, readResponses)
	case path == "/v1/embeddings":
		s.serve(w, r, readEmbeddings)
	case path == "/v1/moderations":
		s.serve(w, r, readModerations)
	case path == costsPath:
		s.aside(w, r, (*call).costs)
	case path == "/v1/models":
		s.aside(w, r, (*call).listModels)
	case strings.HasPrefix(path, "/v1/models/"):
		s.aside(w, r, (*call).oneModel)
	default:
		s.aside(w, r, (*call).unknownPath)
	}
}

// reader reads a body; models is the list of those served, if there is one.
type reader func(body []byte, models []string) (request, error)

// serve answers what may cost something. A call is closed in the books before its
// last byte is sent, so that whoever has read the whole answer finds it there.
func (s *Sim) serve(w http.ResponseWriter, r *http.Request, read reader) {
	c := s.newCall(w, r)
	s.enter(c)
	defer s.leave(c, failed) // after a panic; otherwise a leave came before
	err := c.answer(read)
	s.leave(c, outcomeOf(err))
	c.end(err)
}

// aside answers everything else: it costs nothing and is not counted.
func (s *Sim) aside(w http.ResponseWriter, r *http.Request, answer func(*call) error) {
	c := s.newCall(w, r)
	c.end(answer(c))
}

// enter counts a call in.
func (s *Sim) enter(c *call) {
	s.mu.Lock()
	s.open[c] = struct{}{}
	s.mu.Unlock()
	s.books.opened()
}

// leave counts a call out, once.
func (s *Sim) leave(c *call, how outcome) {
	if c.left {
		return
	}
	c.left = true
	s.mu.Lock()
	delete(s.open, c)
	s.mu.Unlock()
	s.books.closed(c, how)
}
