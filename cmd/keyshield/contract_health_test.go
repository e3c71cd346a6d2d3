package main

import (
	"net/http"
	"testing"

	"github.com/golang-jwt/jwt/v5"

	"keyshield/api"
)

// TestHealthEndpointsAnswerAnyone: platforms' checkers send their own Host, no
// token, and often; Railway's wants exactly 200.
func TestHealthEndpointsAnswerAnyone(t *testing.T) {
	t.Parallel()
	r := start(t, "RATE_LIMIT_IP=1/1h", "MAX_IN_FLIGHT=1", "ALLOWED_ORIGINS=none")
	openStream(t, r) // the server is full, and the limit used up
	for path, body := range map[string]string{"/livez": "ok\n", "/healthz": "ok\n", "/readyz": "ready\n"} {
		for _, headers := range [][]string{nil, {"Origin: https://evil.example"}, {"Origin: null"}, {"Authorization: Bearer x"}} {
			req := r.request(path, "", append([]string{"Authorization:", "Content-Type:"}, headers...)...)
			req.Method, req.Host = http.MethodGet, "healthcheck.railway.app"
			for range 15 {
				if got := r.do(req); got.status != http.StatusOK || got.body != body || got.header.Get("Content-Type") != plainForm || got.header.Get("RateLimit-Limit") != "" {
					t.Fatalf("%s with %q: got %d %q %v, want 200 %q", path, headers, got.status, got.body, got.header, body)
				}
			}
		}
		head := r.request(path, "", "Authorization:")
		head.Method = http.MethodHead
		if got := r.do(head); got.status != http.StatusOK || got.body != "" {
			t.Errorf("HEAD %s: got %d %q", path, got.status, got.body)
		}
	}
}

// TestReadinessWaitsForTheKeySet, and a token that cannot be judged is our
// trouble, never "invalid": that would send every signed-in user to the login
// page.
func TestReadinessWaitsForTheKeySet(t *testing.T) {
	t.Parallel()
	p := newKeyServer(t)
	p.down.Store(true)
	r := start(t, "JWT_SECRET", "JWT_JWKS_URL="+p.url+"/keys", "JWT_ISSUER="+p.url)
	ready := r.get("/readyz")
	ready.wants(t, 503, "unavailable")
	if ready.header.Get("Retry-After") == "" {
		t.Error("not ready, and no Retry-After")
	}
	if got := r.get("/livez"); got.status != http.StatusOK {
		t.Errorf("livez is %d: a restart does not mend somebody else's fault", got.status)
	}
	token := "Authorization: Bearer " + p.token(t, jwt.MapClaims{"iss": p.url})
	asked := r.ask("hi", token)
	wantsRefusal(t, "no key set", asked, asked.wants(t, 503, "unavailable"))
	if asked.header.Get("Retry-After") == "" || asked.header.Get("WWW-Authenticate") != "" {
		t.Errorf("Retry-After %q, WWW-Authenticate %q; want a wait and nothing about the token", asked.header.Get("Retry-After"), asked.header.Get("WWW-Authenticate"))
	}

	p.down.Store(false)
	soon(t, "readiness after the keys have come", func() bool { return r.get("/readyz").status == http.StatusOK })
	if got := r.ask("hi", token); got.status != http.StatusOK {
		t.Errorf("with the keys: %d %s", got.status, got.body)
	}
}

func TestTheDescriptionIsServed(t *testing.T) {
	t.Parallel()
	r := start(t)
	got := r.get("/openapi.yaml")
	got.wants200(t, "application/yaml; charset=utf-8")
	if got.body != string(api.Description) {
		t.Error("the served description is not the embedded one")
	}
}

// TestTheServerLivesOnWhenTheProviderDoesNot.
func TestTheServerLivesOnWhenTheProviderDoesNot(t *testing.T) {
	t.Parallel()
	r := start(t)
	r.back.CloseClientConnections()
	r.back.Close()
	r.ask("hi").wants(t, 502, "upstream_error")
	for _, path := range []string{"/livez", "/readyz"} {
		if got := r.get(path); got.status != http.StatusOK {
			t.Errorf("%s is %d: a restart does not mend OpenAI", path, got.status)
		}
	}
}
