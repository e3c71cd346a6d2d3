package admin

import (
	"encoding/json"
	"net/netip"
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keyshield/internal/limit"
)

// FuzzBodies: what is taken means the same when it is written and read again, and
// what is not is refused as the asker's mistake.
func FuzzBodies(f *testing.F) {
	for _, s := range []string{
		`{"user":"ana","issuer":"https://id.example","for":"90m","why":"stolen"}`, `{"everything":true}`, `{"model":"gpt-6-luna"}`,
		`{"at":"2026-11-21T00:00:00Z","month_nanousd":8000000000,"day_nanousd":1}`, `{"from":"2026-11-01T00:00:00Z","to":"2026-11-21T00:00:00.5+01:00","ours_nanousd":1,"days":[{"day":"2026-11-01"}]}`,
		`{}`, `{"user":"\ud800"}`, `{"user":"a","User":"b"}`, `[]`, `{"month_nanousd":1e99}`, `{"from":"9999-12-31T23:59:59-23:59"}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		again(t, body, readDisable)
		again(t, body, readEnable)
		again(t, body, readSeed)
		again(t, body, readReconcile)
		again(t, body, readNothing)
	})
}

func again[B any](t *testing.T, body []byte, read func([]byte) (B, error)) {
	t.Helper()
	what, err := read(body)
	if err != nil {
		if refusalOf(err).Status != 400 {
			t.Errorf("%q: %v", body, err)
		}
		return
	}
	text, err := json.Marshal(what)
	if err != nil {
		return // a year that RFC 3339 cannot write
	}
	twice, err := read(text)
	if err != nil {
		t.Fatalf("%q is taken, and as %s is not: %v", body, text, err)
	}
	if diff := cmp.Diff(what, twice); diff != "" {
		t.Errorf("%q read again (-first +second):\n%s", body, diff)
	}
}

// FuzzQueries: the same for what stands behind a ?.
func FuzzQueries(f *testing.F) {
	for _, s := range []string{
		"by=user&by=hour&since=24h&top=3&user=ana", "day=true", "search=x&sort=id&desc=1&offset=3&limit=7",
		"from=2026-11-01T00:00:00Z&kind=request&before=9&limit=5", "oldest=true&id=x&code=y", "by=colour", "a=%zz", "top=1&top=2", "since=1e9h",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		v, err := url.ParseQuery(text)
		if err != nil {
			return
		}
		sameQuery(t, v, parseUsageQuery)
		sameQuery(t, v, parseUsersQuery)
		sameQuery(t, v, parseAuditQuery)
	})
}

func sameQuery[Q interface{ values() url.Values }](t *testing.T, v url.Values, parse func(url.Values) (Q, error)) {
	t.Helper()
	q, err := parse(v)
	if err != nil {
		if refusalOf(err).Status != 400 {
			t.Errorf("%v: %v", v, err)
		}
		return
	}
	twice, err := parse(q.values())
	if err != nil {
		t.Fatalf("%v is taken, and as %v is not: %v", v, q.values(), err)
	}
	if diff := cmp.Diff(q.values(), twice.values()); diff != "" {
		t.Errorf("%v read again (-first +second):\n%s", v, diff)
	}
}

// FuzzWhoAmI: every line that is proposed is one that the settings take.
func FuzzWhoAmI(f *testing.F) {
	f.Add("10.0.0.1:1", "1.2.3.4, 5.6.7.8", "9.9.9.9")
	f.Add("[fe80::1%eth0]:80", "::ffff:1.2.3.4", "fe80::1%x")
	f.Add("@", "", "")
	f.Fuzz(func(t *testing.T, peer, forwarded, real string) {
		r := from(peer)
		r.Header["X-Forwarded-For"], r.Header["X-Real-Ip"] = []string{forwarded}, []string{real}
		for _, fit := range whoAmI(r, netip.Addr{}, limit.Trust{}).Fits {
			if _, err := limit.ParseTrust(fit.TrustedProxy); err != nil {
				t.Errorf("from %q: %v", peer, err)
			}
			if _, err := netip.ParseAddr(fit.Address); err != nil {
				t.Errorf("from %q: %v", peer, err)
			}
		}
	})
}
