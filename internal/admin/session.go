package admin

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"sync"
	"time"
)

// How long a session is good.
const (
	sessionIdle = 30 * time.Minute
	sessionLife = 12 * time.Hour
	maxSessions = 64
)

// sessions are the browsers that signed in. They are gone with the process; of an id
// only the hash is kept, so that a dump of the memory opens no door.
type sessions struct {
	mu   sync.Mutex
	open map[[sha256.Size]byte]*session
}

type session struct{ born, used time.Time }

func (s *session) over(now time.Time) bool {
	return now.Sub(s.used) >= sessionIdle || now.Sub(s.born) >= sessionLife
}

func newSessions() *sessions { return &sessions{open: map[[sha256.Size]byte]*session{}} }

// begin makes a session. The one that was used least recently makes room.
func (s *sessions) begin() (id string) {
	random := make([]byte, 32)
	rand.Read(random)
	id = base64.RawURLEncoding.EncodeToString(random)
	now := time.Now()

	s.mu.Lock()
	defer s.mu.Unlock()
	var oldest [sha256.Size]byte
	for hash, other := range s.open {
		if other.over(now) {
			delete(s.open, hash)
		} else if first := s.open[oldest]; first == nil || other.used.Before(first.used) {
			oldest = hash
		}
	}
	if len(s.open) >= maxSessions {
		delete(s.open, oldest)
	}
	s.open[sha256.Sum256([]byte(id))] = &session{now, now}
	return id
}

// mostCookies of one name are looked at: a neighbouring host can set some for us.
const mostCookies = 4

// known says whether one of the cookies is that of a session, which goes on.
func (s *sessions) known(cookies []*http.Cookie) bool {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range cookies[:min(len(cookies), mostCookies)] {
		hash := sha256.Sum256([]byte(c.Value))
		found := s.open[hash]
		if found == nil {
			continue
		}
		if found.over(now) {
			delete(s.open, hash)
			continue
		}
		found.used = now
		return true
	}
	return false
}

func (s *sessions) end(cookies []*http.Cookie) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range cookies[:min(len(cookies), mostCookies)] {
		delete(s.open, sha256.Sum256([]byte(c.Value)))
	}
}

// cookieName has a prefix that keeps pages on plain http from setting it
// (RFC 6265bis §4.1.3). __Host- would keep neighbouring hosts from it, too, but
// demands Path=/, and then the cookie would go along with every call of the API: what
// a neighbour could do with a cookie of his own is to sign the operator out.
func (d *Door) cookieName() string {
	if d.secure {
		return "__Secure-keyshield"
	}
	return "keyshield"
}

func (d *Door) cookie(value string, age int) *http.Cookie {
	return &http.Cookie{
		Name: d.cookieName(), Value: value, Path: "/admin", MaxAge: age,
		HttpOnly: true, Secure: d.secure, SameSite: http.SameSiteStrictMode,
	}
}

// SessionAnswer is the answer to POST session; the session itself is in the cookie.
type SessionAnswer struct {
	Until time.Time `json:"until"` // at the latest; half an hour unused ends it, too
}

// signIn begins a session for a request that was admitted.
func (d *Door) signIn(w http.ResponseWriter) SessionAnswer {
	http.SetCookie(w, d.cookie(d.sessions.begin(), int(sessionLife/time.Second)))
	return SessionAnswer{Until: now().Add(sessionLife)}
}

// signOut ends it, in the browser too.
func (d *Door) signOut(w http.ResponseWriter, r *http.Request) {
	d.sessions.end(r.CookiesNamed(d.cookieName()))
	http.SetCookie(w, d.cookie("", -1))
}
