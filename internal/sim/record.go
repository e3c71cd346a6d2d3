package sim

import (
	"net/http"
	"sync"
	"time"
	"unicode/utf8"
)

// Request is one request as it arrived under /v1/.
type Request struct {
	ID        string      `json:"id"` // x-request-id of the answer
	At        time.Time   `json:"at"`
	Method    string      `json:"method"`
	Path      string      `json:"path"`
	Header    http.Header `json:"header"`
	Body      string      `json:"body"`
	Bytes     []byte      `json:"bytes,omitempty"` // the body when it is not UTF-8
	Truncated bool        `json:"truncated,omitempty"`
}

// keptBody bounds what is kept of one body.
const keptBody = 1 << 20

// ring keeps the last size requests.
type ring struct {
	size int
	mu   sync.Mutex
	kept []Request
	next int // where the oldest is, once full
}

func (r *ring) keep(c *call, body []byte) {
	if r.size == 0 {
		return
	}
	q := Request{ID: c.id, At: c.started, Method: c.r.Method, Path: c.r.URL.RequestURI(), Header: c.r.Header.Clone()}
	if len(body) > keptBody {
		body, q.Truncated = body[:keptBody], true
	}
	q.Body = string(body)
	if !utf8.Valid(body) {
		q.Body, q.Bytes = "", []byte(q.Body)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.kept) < r.size {
		r.kept = append(r.kept, q)
		return
	}
	r.kept[r.next] = q
	r.next = (r.next + 1) % r.size
}

func (r *ring) clear() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.kept, r.next = nil, 0
}

// Requests returns the last requests, oldest first.
func (s *Sim) Requests() []Request {
	r := &s.ring
	r.mu.Lock()
	defer r.mu.Unlock()
	return append(append([]Request{}, r.kept[r.next:]...), r.kept[:r.next]...)
}
