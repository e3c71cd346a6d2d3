package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"keyshield/internal/limit"
	"keyshield/internal/secret"
	"keyshield/internal/strict"
)

// Verdict is what a Door says of a request.
type Verdict int

// The verdicts of a Door.
const (
	Denied   Verdict = iota // no token, or a wrong one: answer as if there were no door
	Admitted                //
	TooMany                 // wrong ones, one after the other, from this address
)

// Wrong tokens from one address: more of them in a minute are told to wait. Addresses beyond the table's size share one allowance.
const (
	wrongPerMinute = 10
	wrongTable     = 10_000
)

// Door lets in whoever has the operator's token, or a session that was opened with
// it. A right token is let in whatever was tried before, from its own address too:
// else anybody could lock the operator out of the switches.
type Door struct {
	digest   [sha256.Size]byte
	shut     bool // there is no token
	wrong    *limit.Limiter
	cross    *http.CrossOriginProtection
	secure   bool
	sessions *sessions
}

// DoorOptions are about browsers.
type DoorOptions struct {
	Origin    string // this server's own, where a proxy hides the Host that browsers see; "" is none
	PlainHTTP bool   // on this machine only: browsers keep a Secure cookie for https
}

// NewDoor makes the door of a token. Without a token nobody is let in.
func NewDoor(token secret.String, opts DoorOptions) (*Door, error) {
	d := &Door{
		digest:   sha256.Sum256([]byte(token.Reveal())),
		shut:     token.IsZero(),
		wrong:    limit.New(limit.Rate{Count: wrongPerMinute, Period: time.Minute}, wrongTable),
		cross:    http.NewCrossOriginProtection(),
		secure:   !opts.PlainHTTP,
		sessions: newSessions(),
	}
	if opts.Origin != "" {
		if err := d.cross.AddTrustedOrigin(opts.Origin); err != nil {
			return nil, fmt.Errorf("the operator's door: %w", err)
		}
	}
	return d, nil
}

// Admits says whether r may go on. ip is the address it counts under; requests
// whose address is not known count together. Of a sign-in it reads the body.
func (d *Door) Admits(r *http.Request, ip netip.Addr) Verdict {
	var given string
	headers := r.Header["Authorization"]
	switch {
	case len(headers) == 1:
		given = bearer(headers[0])
	case len(headers) > 1:
		return Denied
	case signsIn(r):
		if d.cross.Check(r) == nil {
			given = tokenIn(r.Body)
		}
	case d.sameOrigin(r) && d.sessions.known(r.CookiesNamed(d.cookieName())):
		return Admitted
	}
	if d.fits(given) {
		return Admitted
	}
	if given == "" {
		return Denied
	}
	key, _ := limit.AddrKeys(ip)
	if !d.wrong.Take(nil, r, key).Allowed {
		return TooMany
	}
	return Denied
}

// Wait is how long an address that made too many mistakes must wait until its
// next wrong token is a 404 again.
func (d *Door) Wait(ip netip.Addr) time.Duration {
	key, _ := limit.AddrKeys(ip)
	return d.wrong.Look(key).Wait
}

// fits compares digests, so that the time tells neither the length nor how much of
// the token was right; and always does, so that it does not tell a missing one from
// a wrong one.
func (d *Door) fits(given string) bool {
	digest := sha256.Sum256([]byte(given))
	same := subtle.ConstantTimeCompare(digest[:], d.digest[:]) == 1
	return same && !d.shut
}

// bearer is the token of an Authorization header (RFC 6750 §2.1), or "".
func bearer(header string) string {
	scheme, token, _ := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return token
}

const sessionPath = "/admin/api/session"

func signsIn(r *http.Request) bool {
	return r.Method == http.MethodPost && r.URL.Path == sessionPath
}

// tokenIn reads {"token": "…"}; "" is anything else.
func tokenIn(from io.Reader) string {
	const most = 4 << 10
	body, err := io.ReadAll(io.LimitReader(from, most+1))
	if err != nil || len(body) > most {
		return ""
	}
	token := ""
	if strict.Read(body, []string{"token"}, func(r *strict.Reader, _ string) { token = r.String() }) != nil {
		return ""
	}
	return token
}

// sameOrigin says whether a request comes from our own pages. SameSite=Strict keeps
// the cookie from other sites, but app.example.com and api.example.com are one site.
func (d *Door) sameOrigin(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "same-origin", "none": // none: typed, or a bookmark
	case "":
		if r.Header.Get("Origin") == "" {
			break
		}
		asked := r.Clone(r.Context()) // of a GET, too, who asks is looked at
		asked.Method = http.MethodPost
		return d.cross.Check(asked) == nil
	default:
		return false
	}
	return d.cross.Check(r) == nil
}
