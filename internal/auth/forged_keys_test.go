package auth

import (
	"crypto"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"time"
)

func (b bench) secrets() []forgery {
	var list []forgery
	for name, key := range map[string]string{
		"one bit off": testSecret[:len(testSecret)-1] + "t", "empty": "", "NUL": "\x00", "longer": testSecret + "\n", "shorter": testSecret[1:],
		"the word": "secret", "upper case": strings.ToUpper(testSecret), "in base64": base64.StdEncoding.EncodeToString([]byte(testSecret)), "redacted": "[redacted]",
	} {
		list = append(list, forgery{"signed with another: " + name, sign(b.t, key, b.hsHeader, b.claims), "signature is invalid"})
	}
	good := sign(b.t, testSecret, b.hsHeader, b.claims)
	p := strings.Split(good, ".")
	sig := signature(b.t, testSecret, p[0]+"."+p[1])
	other := b64(toJSON(b.t, with(b.claims, m{"sub": "eve"})))
	flipped := append([]byte{sig[0] ^ 1}, sig[1:]...)
	return append(list,
		forgery{"payload exchanged", p[0] + "." + other + "." + p[2], "signature is invalid"},
		forgery{"header exchanged", b64(`{"typ":"JWT","alg":"HS256"}`) + "." + p[1] + "." + p[2], "signature is invalid"},
		forgery{"a bit of the signature flipped", p[0] + "." + p[1] + "." + b64(string(flipped)), "signature is invalid"},
		forgery{"signature cut to 16 bytes", p[0] + "." + p[1] + "." + b64(string(sig[:16])), "signature is invalid"},
		forgery{"signature with a byte more", p[0] + "." + p[1] + "." + b64(string(sig)+"x"), "signature is invalid"},
		forgery{"signature of zeros", p[0] + "." + p[1] + "." + b64(strings.Repeat("\x00", 32)), "signature is invalid"},
		forgery{"payload not encoded (b64 false)", sign(b.t, "other", m{"alg": "HS256", "b64": false}, b.claims), "signature is invalid"},
		forgery{"key brought along as oct", sign(b.t, "attacker", m{"alg": "HS256", "jwk": m{"kty": "oct", "k": b64("attacker")}}, b.claims), "signature is invalid"},
	)
}

func (b bench) algorithms() []forgery {
	k := keys()
	public, err := x509.MarshalPKIXPublicKey(k.rsa.Public())
	if err != nil {
		b.t.Fatal(err)
	}
	pkcs1 := x509.MarshalPKCS1PublicKey(&k.rsa.PublicKey)
	secrets := map[string]string{
		"PEM":               string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})),
		"PEM without break": strings.TrimSpace(string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}))),
		"PKCS1 PEM":         string(pem.EncodeToMemory(&pem.Block{Type: "RSA PUBLIC KEY", Bytes: pkcs1})),
		"DER":               string(public), "PKCS1 DER": string(pkcs1), "JWK": toJSON(b.t, jwk("r", k.rsa, nil)),
		"modulus": string(k.rsa.N.Bytes()), "modulus in base64": b64(string(k.rsa.N.Bytes())), "Ed25519 key": string(k.ed.Public().(ed25519.PublicKey)),
		"empty": "", "published oct key": octSecret,
	}
	var list []forgery
	for name, key := range secrets {
		for _, kid := range []string{"r", "oct"} {
			list = append(list, forgery{"HS256 with " + name + " as the secret, kid " + kid, sign(b.t, key, m{"alg": "HS256", "kid": kid}, b.claims), "alg is not RS256"})
		}
	}
	for _, alg := range []string{"none", "None", "NONE", "RS384", "RS512", "PS256", "PS384", "ES384", "ES512", "ES256K", "Ed25519", "eddsa", "rs256", "HS384", "HS512", ""} {
		list = append(list, forgery{fmt.Sprintf("alg %q", alg), sign(b.t, k.rsa, with(b.jwksHeader, m{"alg": alg}), b.claims), "alg is not RS256"})
	}
	return list
}

func (b bench) kids() []forgery {
	k := keys()
	const unknown = "key not found"
	list := []forgery{
		{"none", sign(b.t, k.rsa, m{"alg": "RS256"}, b.claims), "kid: missing or empty"},
		{"empty", sign(b.t, k.rsa, m{"alg": "RS256", "kid": ""}, b.claims), "kid: missing or empty"},
		{"null", sign(b.t, k.rsa, `{"alg":"RS256","kid":null}`, b.claims), "kid: not a string"},
		{"an array", sign(b.t, k.rsa, m{"alg": "RS256", "kid": []string{"r"}}, b.claims), "kid: not a string"},
		{"a number", sign(b.t, k.rsa, m{"alg": "RS256", "kid": 0}, b.claims), "kid: not a string"},
		{"an object", sign(b.t, k.rsa, m{"alg": "RS256", "kid": m{"r": 1}}, b.claims), "kid: not a string"},
		{"a NUL after it", sign(b.t, k.rsa, m{"alg": "RS256", "kid": "r\x00"}, b.claims), "control characters"},
		{"a line break", sign(b.t, k.rsa, m{"alg": "RS256", "kid": "r\r\nX: y"}, b.claims), "control characters"},
		{"of 300 bytes", sign(b.t, k.rsa, m{"alg": "RS256", "kid": strings.Repeat("r", 300)}, b.claims), "longer than 256"},
	}
	for _, kid := range []string{
		"unknown", "R", "r ", " r", "/dev/null", "../../../../dev/null", "file:///dev/null", "https://evil.example.com/jwks.json", "r' OR '1'='1", "' UNION SELECT 'key' --",
		"r; rm -rf /", "$(id)", "%00", "__proto__", "*", "0", "${jndi:ldap://x}",
	} {
		list = append(list, forgery{fmt.Sprintf("%q", kid), sign(b.t, k.rsa, m{"alg": "RS256", "kid": kid}, b.claims), unknown})
	}
	return list
}

func (b bench) wrongKeys() []forgery {
	k := keys()
	const unknown, bad = "key not found", "signature is invalid"
	made := func(name, why string, key any, header m) forgery {
		return forgery{name, sign(b.t, key, header, b.claims), why}
	}
	own := func(key crypto.Signer) m { return jwk("r", key, nil) }
	text := b64(toJSON(b.t, m{"alg": "ES256", "kid": "e"})) + "." + b64(toJSON(b.t, b.claims))
	return []forgery{
		made("another RSA key", bad, k.rsa2, b.jwksHeader), made("another EC key", bad, k.ec2, m{"alg": "ES256", "kid": "e"}), made("another Ed25519 key", bad, k.ed2, m{"alg": "EdDSA", "kid": "o"}),
		made("no signature", bad, nil, b.jwksHeader), made("RSA key brought along", bad, k.rsa2, with(b.jwksHeader, m{"jwk": own(k.rsa2)})),
		made("key brought along under its own kid", unknown, k.rsa2, m{"alg": "RS256", "kid": "mine", "jwk": jwk("mine", k.rsa2, nil)}),
		made("jku", bad, k.rsa2, with(b.jwksHeader, m{"jku": "https://evil.example.com/keys"})), made("x5u", bad, k.rsa2, with(b.jwksHeader, m{"x5u": "https://evil.example.com/cert"})),
		made("x5c", bad, k.rsa2, with(b.jwksHeader, m{"x5c": []string{"MIIB"}})),
		made("ES256 under the RSA key's id", "alg", k.ec, m{"alg": "ES256", "kid": "r"}), made("RS256 under the EC key's id", "alg", k.rsa, m{"alg": "RS256", "kid": "e"}),
		made("EdDSA under the EC key's id", "alg", k.ed, m{"alg": "EdDSA", "kid": "e"}), made("EC signature under EdDSA", bad, k.ec, m{"alg": "EdDSA", "kid": "o"}),
		made("published RSA key of 1024 bits", unknown, k.weak, m{"alg": "RS256", "kid": "weak"}), made("published P-384 key under ES256", unknown, k.p384, m{"alg": "ES256", "kid": "p384"}),
		made("published for encryption", unknown, k.rsa2, m{"alg": "RS256", "kid": "enc"}), made("published for RS512", unknown, k.rsa2, m{"alg": "RS256", "kid": "rs512"}),
		made("published for signing only", unknown, k.rsa2, m{"alg": "RS256", "kid": "sign"}), made("published private key", unknown, k.ed2, m{"alg": "EdDSA", "kid": "private"}),
		made("published point off the curve", unknown, k.ec2, m{"alg": "ES256", "kid": "off"}), made("published point too large", unknown, k.ec2, m{"alg": "ES256", "kid": "huge"}),
		made("published oct key under RS256", unknown, octSecret, m{"alg": "RS256", "kid": "oct"}), made("published plain oct key under RS256", unknown, octSecret, m{"alg": "RS256", "kid": "plainoct"}),
		{"ECDSA signature of zeros", text + "." + b64(strings.Repeat("\x00", 64)), bad},
		{"ECDSA signature of the order", text + "." + b64(string(order(k.ec.Params().N))+string(order(k.ec.Params().N))), bad},
		{"ECDSA signature in DER", text + "." + b64("0\x44"+strings.Repeat("\x02", 68)), bad},
		{"ECDSA signature cut", text + "." + b64(strings.Repeat("\x01", 63)), bad},
		{"payload exchanged", swapPayload(sign(b.t, k.rsa, b.jwksHeader, b.claims), toJSON(b.t, with(b.claims, m{"sub": "eve"}))), bad},
		{"wrong issuer", sign(b.t, k.rsa, b.jwksHeader, with(b.claims, m{"iss": "https://other.example.com/"})), "issuer"},
		{"no issuer", sign(b.t, k.rsa, b.jwksHeader, with(b.claims, m{"iss": nil})), "iss"},
		{"wrong audience", sign(b.t, k.rsa, b.jwksHeader, with(b.claims, m{"aud": "other"})), "audience"},
		{"expired", sign(b.t, k.rsa, b.jwksHeader, with(b.claims, m{"exp": in(-time.Hour)})), "expired"},
	}
}

func order(n *big.Int) []byte { return n.FillBytes(make([]byte, 32)) }

func swapPayload(token, payload string) string {
	p := strings.Split(token, ".")
	return p[0] + "." + b64(payload) + "." + p[2]
}
