package admin

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"keyshield/internal/apierr"
)

const (
	// Prefix is where all of it lies, on the socket as over TCP.
	Prefix = "/admin/api/"

	// Protocol changes when an older program would misread an answer. Every answer
	// has it, so that a command can tell this API from whatever else answers there.
	Protocol       = "2"
	ProtocolHeader = "Keyshield-Operator"
	VersionHeader  = "Keyshield-Version"

	maxBody = 64 << 10

	// A copy of the books holds on to the state that it copies, so a reader that
	// stalls must not keep it for ever.
	chunkTimeout  = 30 * time.Second
	streamTimeout = 10 * time.Minute
)

// Remote is what stands before the handler over TCP.
type Remote struct {
	Door    *Door                          // whose verdict was Admitted, for every request
	Address func(*http.Request) netip.Addr // that r counts under; invalid where it is not known
	Named   func(netip.Addr) string        // how the audit log names an address; nil: as it is
}

// handler answers whoever was let in.
type handler struct {
	desk   *Desk
	remote *Remote // nil on the socket
	mux    *http.ServeMux
}

// NewHandler puts desk on HTTP, for the socket or, with remote, over TCP. It asks
// nobody who he is: the socket's file or the Door does that.
func NewHandler(desk *Desk, remote *Remote) http.Handler {
	h := &handler{desk: desk, remote: remote, mux: http.NewServeMux()}
	for _, r := range h.routes() {
		h.mux.HandleFunc(r.pattern, h.handle(r.answer))
	}
	h.mux.HandleFunc("/", h.handle(h.unknown))
	return h
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.mux.ServeHTTP(w, r) }

// answerer writes an answer, or returns why not.
type answerer func(d *Desk, w http.ResponseWriter, r *http.Request) error

type route struct {
	pattern string
	answer  answerer
}

// Routes are the operations there are, as "GET /admin/api/usage".
func Routes() []string {
	var all []string
	for _, r := range (&handler{remote: &Remote{}}).routes() {
		all = append(all, r.pattern)
	}
	return all
}

// routes is the whole API.
func (h *handler) routes() []route {
	at := func(method, path string, answer answerer) route { return route{method + " " + Prefix + path, answer} }
	all := []route{
		at("GET", "overview", look((*Desk).Overview)),
		at("GET", "usage", ask(parseUsageQuery, (*Desk).Usage)),
		at("GET", "users", ask(parseUsersQuery, (*Desk).Users)),
		at("GET", "users/{name}", oneUser),
		at("GET", "audit", ask(parsePage, (*Desk).Audit)),
		at("GET", "audit/export", exportAudit),
		at("GET", "audit/verify", ask(parseAnchors, (*Desk).VerifyAudit)),
		at("GET", "keys", look((*Desk).Keys)),
		at("POST", "keys/reload", do((*Desk).ReloadKeys)),
		at("GET", "switches", look((*Desk).Switches)),
		at("POST", "disable", post(readDisable, (*Desk).Disable)),
		at("POST", "enable", post(readEnable, (*Desk).Enable)),
		at("GET", "settings", look((*Desk).Settings)),
		at("GET", "whoami", h.whoAmI),
		at("GET", "backup", backup),
		at("POST", "seed", post(readSeed, (*Desk).Seed)),
		at("GET", "reconcile", look((*Desk).LastReconcile)),
		at("POST", "reconcile", post(readReconcile, (*Desk).Reconcile)),
		at("POST", "alerts/test", do((*Desk).TestAlerts)),
	}
	if h.remote != nil {
		all = append(all, at("POST", "session", h.signIn), at("DELETE", "session", h.signOut))
	}
	return all
}

// handle says who asks, and writes down why he gets no answer.
func (h *handler) handle(answer answerer) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(ProtocolHeader, Protocol)
		w.Header().Set(VersionHeader, h.desk.Version)
		if r.Body == http.NoBody {
			patient(w)
		}
		if err := answer(h.desk.As(h.who(r)), w, r); err != nil {
			refuse(w, err)
		}
	}
}

// who is how the audit log names whoever asks.
func (h *handler) who(r *http.Request) string {
	if h.remote == nil {
		return byCLI
	}
	from := h.address(r)
	switch {
	case !from.IsValid():
		return "admin"
	case h.remote.Named != nil:
		return "admin " + h.remote.Named(from)
	}
	return "admin " + from.String()
}

func (h *handler) address(r *http.Request) netip.Addr {
	if h.remote == nil || h.remote.Address == nil {
		return netip.Addr{}
	}
	return h.remote.Address(r).Unmap()
}

// patient lets an answer take its time: the deadline for a request's body, if it is
// over, ends the request that is being answered.
func patient(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{}) // a test's recorder knows none
}

// look answers a question without parameters.
func look[A any](answer func(*Desk, context.Context) (A, error)) answerer {
	none := func(v url.Values) (struct{}, error) { return struct{}{}, reading(v).err }
	return ask(none, func(d *Desk, ctx context.Context, _ struct{}) (A, error) { return answer(d, ctx) })
}

// ask answers a question with parameters.
func ask[Q, A any](parse func(url.Values) (Q, error), answer func(*Desk, context.Context, Q) (A, error)) answerer {
	return func(d *Desk, w http.ResponseWriter, r *http.Request) error {
		values, err := url.ParseQuery(r.URL.RawQuery)
		if err != nil {
			return badRequest("the parameters behind the ? are malformed")
		}
		q, err := parse(values)
		if err != nil {
			return err
		}
		a, err := answer(d, r.Context(), q)
		if err != nil {
			return err
		}
		return writeJSON(w, a)
	}
}

// do changes something that there is nothing more to say about.
func do[A any](answer func(*Desk, context.Context) (A, error)) answerer {
	return post(readNothing, func(d *Desk, ctx context.Context, _ struct{}) (A, error) { return answer(d, ctx) })
}

// post changes something.
func post[B, A any](read func([]byte) (B, error), answer func(*Desk, context.Context, B) (A, error)) answerer {
	return func(d *Desk, w http.ResponseWriter, r *http.Request) error {
		if r.URL.RawQuery != "" {
			return badRequest("what is to be done is said in the body: leave away what stands behind the ?")
		}
		text, err := readBody(w, r)
		if err != nil {
			return err
		}
		b, err := read(text)
		if err != nil {
			return err
		}
		a, err := answer(d, r.Context(), b)
		if err != nil {
			return err
		}
		return writeJSON(w, a)
	}
}

func writeJSON(w http.ResponseWriter, v any) error {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(chunkTimeout))
	_ = json.NewEncoder(w).Encode(v) // who does not listen any more need not be told
	return nil
}

// refusalBody is the body of every answer that is not a 200.
type refusalBody struct {
	Error      string   `json:"error"`
	Code       string   `json:"code"`
	Several    []Person `json:"several,omitempty"`
	Unreadable int      `json:"unreadable,omitempty"`
}

func refuse(w http.ResponseWriter, err error) {
	told := refusalOf(err)
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(told.Status)
	_ = json.NewEncoder(w).Encode(told.body())
}

func (r *Refusal) body() refusalBody { return refusalBody{r.Text, r.Code, r.Several, r.Unreadable} }

// refusalOf tells the operator the whole story.
func refusalOf(err error) *Refusal {
	if told, ok := errors.AsType[*Refusal](err); ok {
		return told
	}
	if e, ok := errors.AsType[*apierr.Error](err); ok {
		text := e.Message
		if cause := e.Unwrap(); cause != nil {
			text = strings.TrimSuffix(text, ".") + ": " + cause.Error()
		}
		return &Refusal{Status: e.Status, Code: e.Code, Text: text}
	}
	return &Refusal{Status: http.StatusInternalServerError, Code: "internal", Text: err.Error()}
}

// unknown says whether it is the path or the method that there is not.
func (h *handler) unknown(_ *Desk, w http.ResponseWriter, r *http.Request) error {
	var allowed []string
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodDelete} {
		other := r.Clone(r.Context())
		other.Method = method
		if _, pattern := h.mux.Handler(other); strings.HasPrefix(pattern, method+" ") {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) == 0 {
		return refusal(http.StatusNotFound, "not_found", "this server knows no such command: use the program that it runs")
	}
	if slices.Contains(allowed, http.MethodGet) {
		allowed = append(allowed, http.MethodHead)
	}
	w.Header().Set("Allow", strings.Join(allowed, ", "))
	return refusal(http.StatusMethodNotAllowed, "method_not_allowed", "this takes %s only", strings.Join(allowed, " or "))
}
