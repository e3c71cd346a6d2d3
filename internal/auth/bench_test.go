package auth

import (
	"fmt"
	"testing"
	"time"
)

func BenchmarkVerifyRemembered(b *testing.B) {
	v := newVerifier(b, hsConfig())
	token := sign(b, testSecret, m{"alg": "HS256", "typ": "JWT"}, m{"sub": "5f1c2b1e-9d5e-4a57-8d0f-1f6f5c2b1e9d", "exp": in(time.Hour), "iat": in(0), "iss": testIssuer, "aud": "app"})
	pass(b, v, token)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(b.Context(), token); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifyNew(b *testing.B) {
	k, p := keys(), &provider{}
	p.set("/keys", keySetOf(b, jwk("r", k.rsa, nil), jwk("e", k.ec, nil), jwk("o", k.ed, nil)))
	claims := m{"sub": "ana", "exp": in(time.Hour), "iss": testIssuer, "aud": "app"}
	jwks := newVerifier(b, jwksConfig(p))
	awaitKeys(b, jwks)
	for _, bm := range []struct {
		alg, kid string
		v        *Verifier
		key      any
	}{{"HS256", "k", newVerifier(b, hsConfig()), testSecret}, {"RS256", "r", jwks, k.rsa}, {"ES256", "e", jwks, k.ec}, {"EdDSA", "o", jwks, k.ed}} {
		token := sign(b, bm.key, m{"alg": bm.alg, "kid": bm.kid}, claims)
		b.Run(bm.alg, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := bm.v.judge(b.Context(), token); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// The dearest tokens to refuse: as many members as fit into the claims (not read
// before the signature) or the header (each to be checked for doubles).
func BenchmarkRefuseManyMembers(b *testing.B) {
	members := func(size int) (many string) {
		for i := 0; len(many) < size; i++ {
			many += fmt.Sprintf(`,"%x":1`, i)
		}
		return many
	}
	v := newVerifier(b, hsConfig())
	for name, token := range map[string]string{
		"claims": sign(b, "another", m{"alg": "HS256"}, `{"sub":"ana"`+members(5800)+"}"),
		"header": sign(b, "another", `{"alg":"HS256"`+members(1500)+"}", m{"sub": "ana"}),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := v.Verify(b.Context(), token); err == nil {
					b.Fatal("passed")
				}
			}
		})
	}
}
