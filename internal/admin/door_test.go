package admin_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"keyshield/internal/admin"
	"keyshield/internal/secret"
)

func newDoor(t testing.TB, opts admin.DoorOptions) *admin.Door {
	t.Helper()
	d, err := admin.NewDoor(secret.New(token), opts)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// knock is a request of a browser or a program: "GET /path", and headers.
func knock(line string, headers ...string) *http.Request {
	method, path, _ := strings.Cut(line, " ")
	r := httptest.NewRequest(method, "https://api.example.com"+path, nil)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Add(name, value)
	}
	return r
}

func withToken(t string) *http.Request {
	return knock("GET /admin/api/overview", "Authorization: Bearer "+t)
}

func TestOnlyTheTokenOpensTheDoor(t *testing.T) {
	d := newDoor(t, admin.DoorOptions{})
	ip := netip.MustParseAddr("203.0.113.7")
	const jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbmEifQ.c2lnbmF0dXJl"
	for name, c := range map[string]struct {
		r    *http.Request
		want admin.Verdict
	}{
		"right":                       {withToken(token), admin.Admitted},
		"in another case":             {knock("GET /metrics", "Authorization: bearer "+token), admin.Admitted},
		"none":                        {knock("GET /admin/api/overview"), admin.Denied},
		"empty":                       {knock("GET /", "Authorization: "), admin.Denied},
		"no more than the scheme":     {knock("GET /", "Authorization: Bearer"), admin.Denied},
		"wrong":                       {withToken(token[1:]), admin.Denied},
		"longer":                      {withToken(token + "0"), admin.Denied},
		"a space too many":            {withToken(" " + token), admin.Denied},
		"a user's":                    {withToken(jwt), admin.Denied},
		"twice":                       {knock("GET /", "Authorization: Bearer "+token, "Authorization: Bearer "+token), admin.Denied},
		"right behind wrong":          {knock("GET /", "Authorization: Bearer x", "Authorization: Bearer "+token), admin.Denied},
		"basic":                       {knock("GET /", "Authorization: Basic "+token), admin.Denied},
		"in the query":                {knock("GET /admin/api/overview?token=" + token), admin.Denied},
		"in a cookie":                 {knock("GET /", "Cookie: __Secure-keyshield="+token), admin.Denied},
		"in a cookie of plain http":   {knock("GET /", "Cookie: keyshield="+token), admin.Denied},
		"in another header":           {knock("GET /", "X-Admin-Token: "+token), admin.Denied},
		"sign-in with another method": {knock("PUT /admin/api/session"), admin.Denied},
	} {
		if got := d.Admits(c.r, ip); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

func TestWithoutATokenThereIsNoDoor(t *testing.T) {
	d, err := admin.NewDoor(secret.String{}, admin.DoorOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range []*http.Request{withToken(""), withToken("x"), knock("GET /admin/"), signIn("")} {
		if got := d.Admits(r, netip.Addr{}); got != admin.Denied {
			t.Errorf("%v: %v", r.Header, got)
		}
	}
}

// TestNobodyLocksTheOperatorOut: wrong tokens are bounded by address, the right one
// never is.
func TestNobodyLocksTheOperatorOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(t, admin.DoorOptions{})
		thief := netip.MustParseAddr("2001:db8::1")
		neighbour := netip.MustParseAddr("2001:db8::2") // the same subscriber
		other := netip.MustParseAddr("2001:db8:0:1::1")
		for i := range 10 {
			if got := d.Admits(withToken(fmt.Sprint("guess ", i)), thief); got != admin.Denied {
				t.Fatalf("wrong token %d: %v", i+1, got)
			}
		}
		for _, ip := range []netip.Addr{thief, neighbour} {
			if got := d.Admits(withToken("one more"), ip); got != admin.TooMany {
				t.Errorf("the eleventh from %v: %v", ip, got)
			}
			if got := d.Admits(withToken(token), ip); got != admin.Admitted {
				t.Errorf("the right one from %v: %v", ip, got)
			}
			if got := d.Admits(knock("GET /admin/"), ip); got != admin.Denied {
				t.Errorf("none from %v: %v", ip, got)
			}
		}
		if got := d.Admits(withToken("one more"), other); got != admin.Denied {
			t.Errorf("another address pays for it: %v", got)
		}
		wait := d.Wait(thief)
		if wait <= 0 || wait > 2*time.Minute || d.Wait(other) != 0 {
			t.Errorf("told to wait %v, and others %v", wait, d.Wait(other))
		}
		time.Sleep(wait)
		if got := d.Admits(withToken("one more"), thief); got != admin.Denied {
			t.Errorf("after the wait: %v", got)
		}
	})
}

// TestAFloodOfAddressesIsBounded: strangers share what is left, the operator stays in.
func TestAFloodOfAddressesIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // all in one minute
		d := newDoor(t, admin.DoorOptions{})
		last := admin.Denied
		for i := range 11_000 {
			last = d.Admits(withToken("guess"), netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}))
		}
		if last != admin.TooMany {
			t.Errorf("the last of 11,000 addresses is %v, want %v: the table has no bound", last, admin.TooMany)
		}
		if got := d.Admits(withToken(token), netip.MustParseAddr("203.0.113.9")); got != admin.Admitted {
			t.Errorf("the operator: %v", got)
		}
	})
}

func signIn(token string, headers ...string) *http.Request {
	r := knock("POST /admin/api/session", headers...)
	body := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(`{"token":"`+token+`"}`))
	r.Body, r.ContentLength = body.Body, body.ContentLength
	r.Header.Set("Content-Type", "application/json")
	return r
}

// signedIn is the cookie that a sign-in sets.
func signedIn(t *testing.T, d *admin.Door) *http.Cookie {
	t.Helper()
	r := signIn(token, "Sec-Fetch-Site: same-origin")
	if got := d.Admits(r, netip.Addr{}); got != admin.Admitted {
		t.Fatalf("the right token does not sign in: %v", got)
	}
	w := httptest.NewRecorder()
	desk := admin.NewDesk(admin.Parts{Version: "v1.2.3"})
	admin.NewHandler(desk, &admin.Remote{Door: d}).ServeHTTP(w, r)
	cookies := w.Result().Cookies()
	if w.Code != http.StatusOK || len(cookies) != 1 {
		t.Fatalf("%d %s, %d cookies", w.Code, w.Body, len(cookies))
	}
	if strings.Contains(w.Body.String(), cookies[0].Value) {
		t.Error("a script can read the session from the body")
	}
	return cookies[0]
}

func TestSessionCookieIsForOurPagesAlone(t *testing.T) {
	c := signedIn(t, newDoor(t, admin.DoorOptions{}))
	if c.Name != "__Secure-keyshield" || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/admin" || c.Domain != "" || c.MaxAge != 12*60*60 {
		t.Errorf("the cookie is %+v", c)
	}
	if len(c.Value) < 43 {
		t.Errorf("the session %q has less than 256 bits", c.Value)
	}
	plain := signedIn(t, newDoor(t, admin.DoorOptions{PlainHTTP: true}))
	if plain.Secure || strings.HasPrefix(plain.Name, "__") || !plain.HttpOnly {
		t.Errorf("on plain http it is %+v: a browser would drop it", plain)
	}
}

func TestSessionIsGoodForSameOriginAlone(t *testing.T) {
	d := newDoor(t, admin.DoorOptions{Origin: "https://public.example.com"})
	cookie := signedIn(t, d)
	for _, c := range []struct {
		line    string
		headers string
		want    admin.Verdict
	}{
		{"GET /admin/api/overview", "", admin.Admitted},
		{"GET /admin/api/overview", "Sec-Fetch-Site: same-origin", admin.Admitted},
		{"GET /admin/", "Sec-Fetch-Site: none", admin.Admitted},
		{"POST /admin/api/disable", "Sec-Fetch-Site: same-origin", admin.Admitted},
		{"POST /admin/api/disable", "Origin: https://api.example.com", admin.Admitted},
		{"POST /admin/api/disable", "Origin: https://public.example.com", admin.Admitted},
		{"GET /admin/api/overview", "Sec-Fetch-Site: same-site", admin.Denied}, // app.example.com
		{"GET /admin/api/overview", "Sec-Fetch-Site: cross-site", admin.Denied},
		{"GET /admin/api/overview", "Origin: https://app.example.com", admin.Denied},
		{"POST /admin/api/disable", "Sec-Fetch-Site: same-site", admin.Denied},
		{"POST /admin/api/disable", "Sec-Fetch-Site: cross-site", admin.Denied},
		{"POST /admin/api/disable", "Origin: https://evil.example", admin.Denied},
		{"POST /admin/api/disable", "Origin: null", admin.Denied},
	} {
		headers := []string{"Cookie: " + cookie.Name + "=" + cookie.Value}
		if c.headers != "" {
			headers = append(headers, c.headers)
		}
		if got := d.Admits(knock(c.line, headers...), netip.Addr{}); got != c.want {
			t.Errorf("%s with %q: %v, want %v", c.line, c.headers, got, c.want)
		}
	}
	for name, r := range map[string]*http.Request{
		"another id":      knock("GET /admin/", "Cookie: "+cookie.Name+"="+strings.Repeat("A", 43)),
		"another name":    knock("GET /admin/", "Cookie: keyshield="+cookie.Value),
		"with a token":    knock("GET /admin/", "Cookie: "+cookie.Name+"="+cookie.Value, "Authorization: Bearer wrong"),
		"behind too many": knock("GET /admin/", "Cookie: "+strings.Repeat(cookie.Name+"=x; ", 4)+cookie.Name+"="+cookie.Value),
	} {
		if got := d.Admits(r, netip.Addr{}); got != admin.Denied {
			t.Errorf("%s: %v", name, got)
		}
	}
	// A token in a header is no browser's: it needs no origin.
	if got := d.Admits(knock("POST /admin/api/disable", "Authorization: Bearer "+token, "Sec-Fetch-Site: cross-site"), netip.Addr{}); got != admin.Admitted {
		t.Errorf("a token from elsewhere: %v", got)
	}
}

func TestSignInWantsTheTokenFromOurPages(t *testing.T) {
	d := newDoor(t, admin.DoorOptions{})
	with := func(body string) *http.Request {
		r := signIn("")
		r.Body = httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body)).Body
		return r
	}
	for name, r := range map[string]*http.Request{
		"wrong":              signIn("wrong"),
		"empty":              signIn(""),
		"another site":       signIn(token, "Sec-Fetch-Site: cross-site"),
		"a neighbouring one": signIn(token, "Sec-Fetch-Site: same-site"),
		"no JSON":            with("token=" + token),
		"twice":              with(`{"token":"x","token":"` + token + `"}`),
		"another member":     with(`{"token":"` + token + `","x":1}`),
		"another case":       with(`{"Token":"` + token + `"}`),
		"a list":             with(`{"token":["` + token + `"]}`),
		"too long":           with(`{"token":"` + token + `"` + strings.Repeat(" ", 5000) + `}`),
	} {
		if got := d.Admits(r, netip.Addr{}); got != admin.Denied {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestSessionsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(t, admin.DoorOptions{})
		good := func(c *http.Cookie) bool {
			return d.Admits(knock("GET /admin/", "Cookie: "+c.Name+"="+c.Value), netip.Addr{}) == admin.Admitted
		}
		idle, busy := signedIn(t, d), signedIn(t, d)
		time.Sleep(29 * time.Minute)
		if !good(busy) {
			t.Error("a session ended within half an hour")
		}
		time.Sleep(time.Minute)
		if good(idle) {
			t.Error("a session that was not used for half an hour is still good")
		}
		for range 11*2 + 1 {
			if !good(busy) {
				t.Fatal("a session that is used ended within twelve hours")
			}
			time.Sleep(29 * time.Minute)
		}
		time.Sleep(29 * time.Minute)
		if good(busy) {
			t.Error("a session is good for more than twelve hours")
		}

		out := signedIn(t, d)
		w := httptest.NewRecorder()
		admin.NewHandler(admin.NewDesk(admin.Parts{}), &admin.Remote{Door: d}).
			ServeHTTP(w, knock("DELETE /admin/api/session", "Cookie: "+out.Name+"="+out.Value))
		if cleared := w.Result().Cookies(); w.Code != http.StatusNoContent || len(cleared) != 1 || cleared[0].MaxAge >= 0 {
			t.Errorf("signing out: %d, cookies %v", w.Code, cleared)
		}
		if good(out) {
			t.Error("a session outlives signing out")
		}
	})
}

func TestSessionsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDoor(t, admin.DoorOptions{})
		var all []*http.Cookie
		for range 65 {
			all = append(all, signedIn(t, d))
			time.Sleep(time.Second)
		}
		good := 0
		for i, c := range all {
			ok := d.Admits(knock("GET /admin/", "Cookie: "+c.Name+"="+c.Value), netip.Addr{}) == admin.Admitted
			if ok {
				good++
			}
			if ok == (i == 0) {
				t.Errorf("session %d of 65 is good: %t; the oldest makes room", i+1, ok)
			}
		}
		if good != 64 {
			t.Errorf("%d sessions are open, want 64", good)
		}
	})
}
