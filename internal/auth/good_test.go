package auth

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyshield/internal/secret"
)

func TestGoodTokensPass(t *testing.T) {
	exp := in(time.Hour)
	hs := m{"alg": "HS256", "typ": "JWT"}
	base := m{"sub": "ana", "exp": exp}
	whole := time.Unix(exp, 0).UTC()
	for name, tc := range map[string]struct {
		cfg     func(*Config)
		header  any
		payload any
		want    Caller
	}{
		"plain":                     {nil, hs, base, Caller{ID: "ana", Expires: whole}},
		"no typ":                    {nil, m{"alg": "HS256"}, base, Caller{ID: "ana", Expires: whole}},
		"typ in small letters":      {nil, with(hs, m{"typ": "jwt"}), base, Caller{ID: "ana", Expires: whole}},
		"typ of an access token":    {nil, with(hs, m{"typ": "at+JWT"}), base, Caller{ID: "ana", Expires: whole}},
		"with a kid":                {nil, with(hs, m{"kid": "k1"}), base, Caller{ID: "ana", Expires: whole}},
		"members nobody knows":      {nil, with(hs, m{"x": m{"y": 1}}), with(base, m{"x": []any{1, m{"z": nil}}}), Caller{ID: "ana", Expires: whole}},
		"issuer not configured":     {nil, hs, with(base, m{"iss": "me"}), Caller{Issuer: "me", ID: "ana", Expires: whole}},
		"plan":                      {nil, hs, with(base, m{"plan": "pro"}), Caller{ID: "ana", Plan: "pro", Expires: whole}},
		"plan null is no plan":      {nil, hs, fmt.Sprintf(`{"sub":"ana","exp":%d,"plan":null}`, exp), Caller{ID: "ana", Expires: whole}},
		"fraction of a second":      {nil, hs, fmt.Sprintf(`{"sub":"ana","exp":%d.5}`, exp), Caller{ID: "ana", Expires: whole.Add(time.Second / 2)}},
		"exponent":                  {nil, hs, `{"sub":"ana","exp":2.0e9}`, Caller{ID: "ana", Expires: time.Unix(2e9, 0).UTC()}},
		"just expired, in Leeway":   {nil, hs, with(base, m{"exp": in(-20 * time.Second)}), Caller{ID: "ana", Expires: time.Unix(in(-20*time.Second), 0).UTC()}},
		"nbf within Leeway":         {nil, hs, with(base, m{"nbf": in(20 * time.Second)}), Caller{ID: "ana", Expires: whole}},
		"iat in the past":           {nil, hs, with(base, m{"iat": in(-time.Hour)}), Caller{ID: "ana", Expires: whole}},
		"one of several audiences":  {func(c *Config) { c.Audience = []string{"app", "web"} }, hs, with(base, m{"aud": []string{"x", "web"}}), Caller{ID: "ana", Expires: whole}},
		"audience as a string":      {func(c *Config) { c.Audience = []string{"app"} }, hs, with(base, m{"aud": "app"}), Caller{ID: "ana", Expires: whole}},
		"issuer":                    {func(c *Config) { c.Issuer = "me" }, hs, with(base, m{"iss": "me"}), Caller{Issuer: "me", ID: "ana", Expires: whole}},
		"user claim":                {func(c *Config) { c.UserClaim = "uid" }, hs, with(base, m{"uid": "u1"}), Caller{ID: "u1", Expires: whole}},
		"nested plan":               {func(c *Config) { c.PlanClaim = "app_metadata.plan" }, hs, with(base, m{"app_metadata": m{"plan": "pro"}}), Caller{ID: "ana", Plan: "pro", Expires: whole}},
		"literal before path":       {func(c *Config) { c.PlanClaim = "a.b" }, hs, with(base, m{"a.b": "literal", "a": m{"b": "nested"}}), Caller{ID: "ana", Plan: "literal", Expires: whole}},
		"claim named by a URL":      {func(c *Config) { c.PlanClaim = "https://example.com/plan" }, hs, with(base, m{"https://example.com/plan": "pro"}), Caller{ID: "ana", Plan: "pro", Expires: whole}},
		"nested plan not there":     {func(c *Config) { c.PlanClaim = "app_metadata.plan" }, hs, base, Caller{ID: "ana", Expires: whole}},
		"parent of the plan null":   {func(c *Config) { c.PlanClaim = "a.b" }, hs, fmt.Sprintf(`{"sub":"ana","exp":%d,"a":null}`, exp), Caller{ID: "ana", Expires: whole}},
		"id of 256 bytes":           {nil, hs, with(base, m{"sub": strings.Repeat("é", 128)}), Caller{ID: strings.Repeat("é", 128), Expires: whole}},
		"id with spaces and script": {nil, hs, with(base, m{"sub": "auth0|Ana Müller 日本"}), Caller{ID: "auth0|Ana Müller 日本", Expires: whole}},
		"id escaped":                {nil, hs, fmt.Sprintf(`{"sub":"\u0061na","exp":%d}`, exp), Caller{ID: "ana", Expires: whole}},
		"white space inside JSON":   {nil, hs, fmt.Sprintf(" {\n\t\"sub\" : \"ana\" , \"exp\" : %d } ", exp), Caller{ID: "ana", Expires: whole}},
		"longest lifetime":          {nil, hs, with(base, m{"exp": in(24 * time.Hour)}), Caller{ID: "ana", Expires: time.Unix(in(24*time.Hour), 0).UTC()}},
		"a longer one, if allowed":  {func(c *Config) { c.MaxLifetime = 100 * time.Hour }, hs, with(base, m{"exp": in(99 * time.Hour)}), Caller{ID: "ana", Expires: time.Unix(in(99*time.Hour), 0).UTC()}},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := hsConfig()
			cfg.MaxLifetime = 24 * time.Hour
			if tc.cfg != nil {
				tc.cfg(&cfg)
			}
			if name == "exponent" {
				cfg.MaxLifetime = 100 * 365 * 24 * time.Hour
			}
			v := newVerifier(t, cfg)
			token := sign(t, testSecret, tc.header, tc.payload)
			for _, when := range []string{"first", "again"} { // the second time from the cache
				got := pass(t, v, token)
				if got.Pseudonym == "" || got.Pseudonym != v.names.of(got.Issuer, got.ID) {
					t.Errorf("%s: pseudonym %q does not belong to issuer and id", when, got.Pseudonym)
				}
				got.Pseudonym = ""
				if diff := cmp.Diff(tc.want, got); diff != "" {
					t.Errorf("%s: caller (-want +got):\n%s", when, diff)
				}
			}
		})
	}
}

func TestEveryKindOfPublishedKeyVerifies(t *testing.T) {
	k, p := keys(), &provider{}
	p.set("/keys", keySetOf(t, jwk("r", k.rsa, nil), jwk("e", k.ec, m{"alg": "ES256"}), jwk("o", k.ed, m{"use": nil, "key_ops": []string{"verify"}})))
	v := newVerifier(t, jwksConfig(p))
	awaitKeys(t, v)
	claims := m{"sub": "ana", "exp": in(time.Hour), "iss": testIssuer, "aud": "app"}
	for kid, tc := range map[string]struct {
		alg string
		key any
	}{"r": {"RS256", k.rsa}, "e": {"ES256", k.ec}, "o": {"EdDSA", k.ed}} {
		if got := pass(t, v, sign(t, tc.key, m{"alg": tc.alg, "kid": kid}, claims)); got.ID != "ana" || got.Issuer != testIssuer {
			t.Errorf("%s: caller = %+v", tc.alg, got)
		}
	}
}

func TestMintedTokensPass(t *testing.T) {
	key := secret.New(testSecret)
	cfg := Config{Secret: key, Issuer: "https://me", Audience: []string{"app"}, UserClaim: "user.id", PlanClaim: "app_metadata.plan"}
	token, err := Mint(key, Claims{Subject: "ana", Issuer: cfg.Issuer, Audience: cfg.Audience, Plan: "pro", TTL: time.Hour, UserClaim: cfg.UserClaim, PlanClaim: cfg.PlanClaim}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	got := pass(t, newVerifier(t, cfg), token)
	if got.ID != "ana" || got.Plan != "pro" || got.Issuer != cfg.Issuer || time.Until(got.Expires) > time.Hour {
		t.Errorf("caller = %+v", got)
	}

	token, err = Mint(key, Claims{Subject: "ana", TTL: time.Minute}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if got := pass(t, newVerifier(t, hsConfig()), token); got.ID != "ana" || got.Plan != "" {
		t.Errorf("caller = %+v", got)
	}
}

func TestMintRefusesWhatVerifyWould(t *testing.T) {
	good := Claims{Subject: "ana", TTL: time.Hour}
	for name, tc := range map[string]struct {
		key    string
		change func(*Claims)
	}{
		"weak key":              {"short", func(*Claims) {}},
		"no subject":            {testSecret, func(c *Claims) { c.Subject = "" }},
		"control character":     {testSecret, func(c *Claims) { c.Subject = "a\nb" }},
		"no lifetime":           {testSecret, func(c *Claims) { c.TTL = 0 }},
		"user claim is exp":     {testSecret, func(c *Claims) { c.UserClaim = "exp" }},
		"plan in user_metadata": {testSecret, func(c *Claims) { c.PlanClaim = "user_metadata.plan" }},
		"plan is the user":      {testSecret, func(c *Claims) { c.PlanClaim = "sub" }},
	} {
		c := good
		tc.change(&c)
		if token, err := Mint(secret.New(tc.key), c, time.Now()); err == nil {
			t.Errorf("%s: minted %q", name, token)
		} else if strings.Contains(err.Error(), tc.key) {
			t.Errorf("%s: the error quotes the key: %v", name, err)
		}
	}
}
