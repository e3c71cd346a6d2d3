package auth

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"keyshield/internal/secret"
)

// forgery is a token that must not pass. why is part of the reason it is
// refused for: a token refused for another one proves nothing.
type forgery struct{ name, token, why string }

// octSecret is a symmetric key that a provider was careless enough to publish.
const octSecret = "test-Pub7vXz2mWp9sLd4fRt6yHb8nGc3jEa5u"

// bench holds one verifier per kind of key, strict about issuer and audience,
// and the sound token each forgery starts from.
type bench struct {
	t          testing.TB
	hs, jwks   *Verifier
	claims     m
	hsHeader   m
	jwksHeader m
}

func newBench(t testing.TB) bench {
	k, p := keys(), &provider{}
	p.set("/keys", keySetOf(t,
		jwk("r", k.rsa, nil), jwk("e", k.ec, nil), jwk("o", k.ed, nil),
		jwk("weak", k.weak, nil), jwk("p384", k.p384, nil), jwk("enc", k.rsa2, m{"use": "enc"}), jwk("rs512", k.rsa2, m{"alg": "RS512"}),
		m{"kty": "oct", "kid": "oct", "k": b64(octSecret), "alg": "HS256"}, m{"kty": "oct", "kid": "plainoct", "k": b64(octSecret)},
		jwk("off", k.ec2, m{"x": b64("not on the curve at all, 32 byte")}), jwk("huge", k.ec2, m{"x": b64(strings.Repeat("x", 66))}),
		jwk("sign", k.rsa2, m{"key_ops": []string{"sign"}}), jwk("private", k.ed2, m{"d": b64(string(k.ed2.Seed()))}),
	))
	jwksCfg := jwksConfig(p)
	hsCfg := Config{Secret: secret.New(testSecret), Issuer: testIssuer, Audience: []string{"app"}}
	b := bench{
		t: t, hs: newVerifier(t, hsCfg), jwks: newVerifier(t, jwksCfg),
		claims:     m{"sub": "ana", "iss": testIssuer, "aud": "app", "exp": in(time.Hour), "iat": in(-time.Minute)},
		hsHeader:   m{"alg": "HS256", "typ": "JWT"},
		jwksHeader: m{"alg": "RS256", "typ": "JWT", "kid": "r"},
	}
	awaitKeys(t, b.jwks)
	pass(t, b.hs, sign(t, testSecret, b.hsHeader, b.claims))
	pass(t, b.jwks, sign(t, k.rsa, b.jwksHeader, b.claims))
	return b
}

// claimed signs changed claims properly; headed signs under a changed header.
func (b bench) claimed(name, why string, changes m) forgery {
	return forgery{name, sign(b.t, testSecret, b.hsHeader, with(b.claims, changes)), why}
}

func (b bench) headed(name, why string, changes m) forgery {
	return forgery{name, sign(b.t, testSecret, with(b.hsHeader, changes), b.claims), why}
}

// raw signs a payload given as text: the sound claims, opened, then more.
func (b bench) raw(name, why, more string) forgery {
	open := strings.TrimSuffix(toJSON(b.t, b.claims), "}")
	return forgery{name, sign(b.t, testSecret, b.hsHeader, open+more), why}
}

func TestNoForgedTokenPasses(t *testing.T) {
	b := newBench(t)
	total, seen := 0, map[string]bool{}
	run := func(v *Verifier, kind string, list []forgery) {
		for _, f := range list {
			name := kind + "/" + f.name
			if seen[name] {
				t.Fatalf("two variants are named %q", name)
			}
			seen[name] = true
			total++
			t.Run(name, func(t *testing.T) {
				caller, err := v.Verify(t.Context(), f.token)
				if err == nil {
					t.Fatalf("passed as %+v", caller)
				}
				refused(t, err, 403, "token_invalid")
				if caller != (Caller{}) {
					t.Errorf("a refusal came with a caller: %+v", caller)
				}
				if !strings.Contains(err.Error(), f.why) {
					t.Errorf("refused because %q, meant to be because %q", err, f.why)
				}
				if len(f.token) > 20 && strings.Contains(err.Error(), f.token) {
					t.Error("the reason holds the token")
				}
			})
		}
	}
	for kind, list := range map[string][]forgery{
		"form": b.forms(), "base64": b.encodings(), "header": b.headers(), "json": b.documents(),
		"time": b.times(), "issuer and audience": b.addressees(), "identity": b.identities(), "secret": b.secrets(),
	} {
		run(b.hs, kind, list)
	}
	run(b.jwks, "algorithm", b.algorithms())
	run(b.jwks, "kid", b.kids())
	run(b.jwks, "key", b.wrongKeys())
	if b.hs.seen.len() != 1 || b.jwks.seen.len() != 1 {
		t.Error("a refused token was remembered")
	}
	if total < 200 {
		t.Errorf("%d variants; the promise is at least 200", total)
	}
	t.Logf("%d variants", total)
}

func (b bench) forms() []forgery {
	good := sign(b.t, testSecret, b.hsHeader, b.claims)
	p := strings.Split(good, ".")
	signed := p[0] + "." + p[1]
	const parts, letters = "not three parts", "not base64url"
	list := []forgery{
		{"empty", "", parts},
		{"a word", "token", parts},
		{"dots alone", "..", "header"},
		{"one part", p[0], parts},
		{"two parts", signed, parts},
		{"four parts", good + "." + p[2], parts},
		{"five parts, as encrypted", b64(`{"alg":"dir","enc":"A256GCM"}`) + "..a.b.c", parts},
		{"leading dot", "." + good, parts},
		{"trailing dot", good + ".", parts},
		{"no header", "." + p[1] + "." + p[2], "header"},
		{"no payload", p[0] + ".." + p[2], ""},
		{"no signature", signed + ".", "signature is invalid"},
		{"parts swapped", p[1] + "." + p[0] + "." + p[2], "alg"},
		{"signature first", p[2] + "." + p[0] + "." + p[1], "header"},
		{"twice", good + good, parts},
		{"with Bearer before it", "Bearer " + good, letters},
		{"two with a comma", good + "," + p[2], letters},
		{"in quotes", `"` + good + `"`, letters},
		{"JSON serialisation", fmt.Sprintf(`{"protected":"%s","payload":"%s","signature":"%s"}`, p[0], p[1], p[2]), parts},
		{"8193 bytes", sign(b.t, testSecret, b.hsHeader, with(b.claims, m{"x": strings.Repeat("x", 6200)})), "at most 8192"},
		{"header of 3 KiB", sign(b.t, testSecret, with(b.hsHeader, m{"x": strings.Repeat("x", 2200)}), b.claims), "at most 2048"},
		{"a megabyte", strings.Repeat("A", 1<<20), "at most 8192"},
		{"a thousand dots", strings.Repeat(".", 1000), parts},
	}
	for _, cut := range []int{1, 2, 10, len(p[2]) - 1} {
		list = append(list, forgery{fmt.Sprintf("%d characters cut off", cut), good[:len(good)-cut], ""})
	}
	for i, c := range []string{" ", "\t", "\n", "\r\n", "\x00", "\u00a0", "\u200b", "%", "é", "\xff"} {
		list = append(list,
			forgery{fmt.Sprintf("%q before (%d)", c, i), c + good, letters},
			forgery{fmt.Sprintf("%q after (%d)", c, i), good + c, letters},
			forgery{fmt.Sprintf("%q within (%d)", c, i), p[0] + "." + p[1][:5] + c + p[1][5:] + "." + p[2], letters})
	}
	return list
}

func (b bench) encodings() []forgery {
	good := sign(b.t, testSecret, b.hsHeader, b.claims)
	p := strings.Split(good, ".")
	// The last letter of a 32-byte signature carries two bits that mean nothing:
	// set, they make another text of the same bytes.
	letters := "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(letters, p[2][len(p[2])-1])
	odd := p[2][:len(p[2])-1] + string(letters[last|1])
	// A header of 28 bytes leaves padding and bits over too.
	header := b64(`{"alg":"HS256","typ":"JWT" }`)
	signedOdd := func(h string) string {
		text := h + "." + p[1]
		return text + "." + b64(string(signature(b.t, testSecret, text)))
	}
	oddHeader := header[:len(header)-1] + string(letters[strings.IndexByte(letters, header[len(header)-1])|1])
	std := base64.StdEncoding.EncodeToString([]byte(`{"alg":"HS256","typ":"JWT","x":"???>>>~~~"}`))
	return []forgery{
		{"signature padded", good + "=", "not base64url"},
		{"header padded", signedOdd(header + "="), "not base64url"},
		{"all padded", p[0] + "=." + p[1] + "==." + p[2] + "=", "not base64url"},
		{"signature with loose bits", p[0] + "." + p[1] + "." + odd, "illegal base64"},
		{"header with loose bits", signedOdd(oddHeader), "header is not strict base64url"},
		{"header in the standard alphabet", signedOdd(strings.TrimRight(std, "=")), "not base64url"},
		{"header one letter short", signedOdd(header[:len(header)-1] + "A="), "not base64url"},
		{"header of one letter", signedOdd("A"), "header is not strict base64url"},
		{"header of five letters", signedOdd("AAAAA"), "header is not strict base64url"},
		{"header not encoded", signedOdd(`{"alg":"HS256"}`), "not base64url"},
		{"payload in hex", sign(b.t, testSecret, b.hsHeader, fmt.Sprintf("%x", toJSON(b.t, b.claims))), "malformed"},
		{"signature in hex", p[0] + "." + p[1] + "." + fmt.Sprintf("%x", signature(b.t, testSecret, p[0]+"."+p[1])), "signature is invalid"},
		{"signature of the decoded text", p[0] + "." + p[1] + "." + b64(string(signature(b.t, testSecret, toJSON(b.t, b.claims)))), "signature is invalid"},
	}
}

func (b bench) headers() []forgery {
	list := []forgery{
		b.headed("no alg", "alg is not HS256", m{"alg": nil}),
		b.headed("alg a number", "alg: not a string", m{"alg": 256}),
		b.headed("alg an array", "alg: not a string", m{"alg": []string{"HS256"}}),
		b.headed("crit empty", "crit is not supported", m{"crit": []string{}}),
		b.headed("crit of exp", "crit is not supported", m{"crit": []string{"exp"}}),
		b.headed("crit of b64", "crit is not supported", m{"crit": []string{"b64"}, "b64": true}),
		b.headed("crit unknown", "crit is not supported", m{"crit": []string{"x"}, "x": 1}),
		b.headed("crit a string", "crit is not supported", m{"crit": "exp"}),
		{"crit null", sign(b.t, testSecret, `{"alg":"HS256","crit":null}`, b.claims), "crit is not supported"},
		b.headed("CRIT", "only in case", m{"CRIT": []string{"exp"}}),
		b.headed("typ null", "typ", m{"typ": (*int)(nil)}),
		b.headed("typ a number", "typ: not a string", m{"typ": 1}),
		b.headed("typ empty", "typ is neither", m{"typ": ""}),
		b.headed("kid a number", "kid: not a string", m{"kid": 1}),
		b.headed("kid an array", "kid: not a string", m{"kid": []string{"k"}}),
		b.headed("kid an object", "kid: not a string", m{"kid": m{"k": 1}}),
		b.headed("kid empty", "kid: missing or empty", m{"kid": ""}),
		b.headed("kid with a line break", "control characters", m{"kid": "a\nb"}),
		b.headed("kid of 300 bytes", "longer than 256", m{"kid": strings.Repeat("k", 300)}),
		b.headed("Alg beside alg", "only in case", m{"Alg": "none"}),
		b.headed("Kid beside nothing", "only in case", m{"Kid": "r"}),
		b.headed("JWK with capitals", "only in case", m{"JWK": m{}}),
		{"ALG alone", sign(b.t, testSecret, `{"ALG":"HS256","typ":"JWT"}`, b.claims), "only in case"},
		{"alg twice", sign(b.t, testSecret, `{"alg":"none","alg":"HS256"}`, b.claims), "duplicate"},
		{"alg twice, the sound one first", sign(b.t, testSecret, `{"alg":"HS256","alg":"none"}`, b.claims), "duplicate"},
		{"alg twice, one escaped", sign(b.t, testSecret, `{"alg":"HS256","\u0061lg":"HS256"}`, b.claims), "duplicate"},
		{"duplicate deep inside", sign(b.t, testSecret, `{"alg":"HS256","x":{"y":[{"z":1,"z":2}]}}`, b.claims), "duplicate"},
		{"header null", sign(b.t, testSecret, `null`, b.claims), "header: not a JSON object"},
		{"header an array", sign(b.t, testSecret, `[{"alg":"HS256"}]`, b.claims), "header: not a JSON object"},
		{"header a string", sign(b.t, testSecret, `"HS256"`, b.claims), "header: not a JSON object"},
		{"header empty object", sign(b.t, testSecret, `{}`, b.claims), "alg is not"},
		{"header not closed", sign(b.t, testSecret, `{"alg":"HS256"`, b.claims), "header: malformed"},
		{"header with data after it", sign(b.t, testSecret, `{"alg":"HS256"}{}`, b.claims), "data after"},
		{"header with a trailing comma", sign(b.t, testSecret, `{"alg":"HS256",}`, b.claims), "header: malformed"},
		{"header with a comment", sign(b.t, testSecret, `{/**/"alg":"HS256"}`, b.claims), "header: malformed"},
		{"header in single quotes", sign(b.t, testSecret, `{'alg':'HS256'}`, b.claims), "header: malformed"},
		{"header after a BOM", sign(b.t, testSecret, "\ufeff"+`{"alg":"HS256"}`, b.claims), "header: not a JSON object"},
		{"header in UTF-16", sign(b.t, testSecret, "{\x00\"\x00a\x00", b.claims), "header: malformed"},
		{"header with invalid UTF-8", sign(b.t, testSecret, "{\"alg\":\"HS256\",\"x\":\"\xff\"}", b.claims), "header: malformed"},
		{"header with a lone surrogate", sign(b.t, testSecret, `{"alg":"HS256","x":"\ud800"}`, b.claims), "header: malformed"},
	}
	for _, alg := range []string{"none", "None", "NONE", "nOnE", "", " ", "hs256", "Hs256", "HS256 ", "HS384", "HS512", "HS1", "RS256", "ES256", "EdDSA", "PS256", "dir", "HS256\x00", "HMACSHA256"} {
		list = append(list,
			b.headed(fmt.Sprintf("alg %q, signed", alg), "alg is not HS256", m{"alg": alg}),
			forgery{fmt.Sprintf("alg %q, unsigned", alg), sign(b.t, nil, m{"alg": alg}, b.claims), "alg is not HS256"})
	}
	for _, typ := range []string{"JWE", "JOSE", "at+jwt ", "application/json", "logout+jwt", "dpop+jwt", "id_token", "JWT\x00", "refresh"} {
		list = append(list, b.headed(fmt.Sprintf("typ %q", typ), "typ is neither", m{"typ": typ}))
	}
	return list
}

func (b bench) documents() []forgery {
	doc := func(name, why, payload string) forgery {
		return forgery{name, sign(b.t, testSecret, b.hsHeader, payload), why}
	}
	return []forgery{
		doc("null", "not a JSON object", `null`), doc("true", "not a JSON object", `true`), doc("a number", "not a JSON object", `1`),
		doc("a string", "not a JSON object", `"ana"`), doc("an array", "not a JSON object", `[{}]`),
		doc("empty object", "exp", `{}`), doc("not JSON", "JSON", `sub=ana`), doc("empty", "JSON", ``),
		doc("a nested token", "JSON", sign(b.t, testSecret, b.hsHeader, b.claims)),
		doc("a token as a JSON string", "not a JSON object", `"`+sign(b.t, testSecret, b.hsHeader, b.claims)+`"`),
		b.raw("data after it", "after top-level value", `}{}`), b.raw("text after it", "after top-level value", `}x`),
		b.raw("NUL after it", "after top-level value", "}\x00"), b.raw("not closed", "unexpected end", ``),
		b.raw("trailing comma", "JSON", `,}`), b.raw("comment", "JSON", `/* */}`), b.raw("bare word", "JSON", `,"x":NaN}`),
		b.raw("Infinity", "JSON", `,"x":Infinity}`), b.raw("leading zero", "JSON", `,"x":01}`), b.raw("hex number", "JSON", `,"x":0x1}`),
		b.raw("control character in a string", "JSON", ",\"x\":\"a\nb\"}"), b.raw("bad escape", "JSON", `,"x":"\x41"}`),
		b.raw("invalid UTF-8 in a value", "malformed", ",\"x\":\"\xc3\x28\"}"), b.raw("invalid UTF-8 in a name", "malformed", ",\"\xff\":1}"),
		b.raw("overlong UTF-8", "malformed", ",\"x\":\"\xc0\xaf\"}"), b.raw("raw surrogate", "malformed", ",\"x\":\"\xed\xa0\x80\"}"),
		b.raw("lone surrogate escape", "malformed", `,"x":"\udc00"}`),
		doc("BOM", "JSON", "\ufeff"+toJSON(b.t, b.claims)),
		b.raw("sub twice", "duplicate", `,"sub":"eve"}`), b.raw("exp twice", "duplicate", `,"exp":9999999999}`),
		b.raw("aud twice", "duplicate", `,"aud":"other"}`), b.raw("an unknown name twice", "duplicate", `,"x":1,"x":1}`),
		b.raw("sub twice, one escaped", "duplicate", `,"\u0073ub":"eve"}`), b.raw("duplicate deep inside", "duplicate", `,"x":[{"y":{"a":1,"a":2}}]}`),
		b.raw("SUB beside sub", "only in case", `,"SUB":"eve"}`), b.raw("Sub beside sub", "only in case", `,"Sub":"eve"}`),
		b.raw("long s in sub", "only in case", `,"ſub":"eve"}`), b.raw("EXP beside exp", "only in case", `,"EXP":9999999999}`),
		b.raw("Iss beside iss", "only in case", `,"Iss":"x"}`), b.raw("AUD beside aud", "only in case", `,"AUD":"x"}`),
		b.raw("NBF alone", "only in case", `,"NBF":1}`), b.raw("unknown names by case", "only in case", `,"x":1,"X":1}`),
		b.raw("Kelvin sign", "only in case", `,"k":1,"`+"\u212a"+`":1}`),
		doc("SUB instead of sub", "only in case", fmt.Sprintf(`{"SUB":"ana","iss":%q,"aud":"app","exp":%d}`, testIssuer, in(time.Hour))),
		b.raw("nested ten thousand deep", "", `,"x":`+strings.Repeat("[", 2500)+strings.Repeat("]", 2500)+`}}`),
	}
}

func (b bench) times() []forgery {
	exp := func(name, why, value string) forgery {
		rest := strings.TrimSuffix(toJSON(b.t, with(b.claims, m{"exp": nil})), "}")
		return forgery{name, sign(b.t, testSecret, b.hsHeader, rest+`,"exp":`+value+`}`), why}
	}
	const kind, over = "exp: not a number", "exp: out of range"
	list := []forgery{
		b.claimed("no exp", "no exp", m{"exp": nil}),
		b.claimed("expired a minute ago", "expired", m{"exp": in(-time.Minute)}), b.claimed("expired a year ago", "expired", m{"exp": in(-8760 * time.Hour)}),
		b.claimed("expired just beyond the Leeway", "expired", m{"exp": in(-31 * time.Second)}), b.claimed("exp 0", "expired", m{"exp": 0}), b.claimed("exp 1", "expired", m{"exp": 1}),
		exp("exp a string", kind, fmt.Sprintf(`"%d"`, in(time.Hour))), exp("exp an ISO date", kind, `"2099-01-01T00:00:00Z"`), exp("exp null", kind, `null`),
		exp("exp true", kind, `true`), exp("exp an array", kind, `[9999999999]`), exp("exp an object", kind, `{"$date":1}`), exp("exp an empty string", kind, `""`),
		exp("exp negative", over, `-1`), exp("exp -1e300", over, `-1e300`), exp("exp 1e300", over, `1e300`), exp("exp 1e999", over, `1e999`),
		exp("exp NaN", "JSON", `NaN`), exp("exp Infinity", "JSON", `Infinity`), exp("exp minus zero", "expired", `-0`), exp("exp 1e-300", "expired", `1e-300`),
		exp("exp int64 overflow", over, `9223372036854775808`), exp("exp uint64 overflow", over, `18446744073709551616`), exp("exp in milliseconds", over, fmt.Sprint(in(time.Hour)*1000)),
		exp("the year 31 688 740 476", over, `1000000000000000000`), exp("the year 5138", "lifetime left", `99999999999`), exp("the year 2106", "lifetime left", `4294967295`),
		exp("a hundred digits", over, strings.Repeat("9", 100)), exp("exp with a plus", "JSON", `+1`), exp("exp with a bare point", "JSON", `1.`),
		b.claimed("25 hours left", "lifetime left", m{"exp": in(25 * time.Hour)}), b.claimed("24 hours and a minute left", "lifetime left", m{"exp": in(24*time.Hour + time.Minute)}),
		b.claimed("ten years left", "lifetime left", m{"exp": in(87600 * time.Hour)}),
		b.claimed("nbf in an hour", "not valid yet", m{"nbf": in(time.Hour)}), b.claimed("nbf beyond the Leeway", "not valid yet", m{"nbf": in(time.Minute)}),
		b.claimed("iat in an hour", "used before issued", m{"iat": in(time.Hour)}), b.claimed("iat beyond the Leeway", "used before issued", m{"iat": in(time.Minute)}),
	}
	for _, name := range []string{"nbf", "iat"} {
		for _, value := range []any{"0", fmt.Sprint(in(0)), true, []int{1}, m{}, (*int)(nil)} {
			list = append(list, b.claimed(fmt.Sprintf("%s %T %v", name, value, value), name+": not a number", m{name: value}))
		}
		list = append(list, b.claimed(name+" 1e300", name+": out of range", m{name: 1e300}), b.claimed(name+" negative", name+": out of range", m{name: -1}))
	}
	return list
}

func (b bench) addressees() []forgery {
	const issuer, audience = "the settings want", "audience"
	return []forgery{
		b.claimed("no iss", "iss", m{"iss": nil}), b.claimed("iss empty", "iss", m{"iss": ""}), b.claimed("iss another", issuer, m{"iss": "https://evil.example.com/"}),
		b.claimed("iss without its slash", issuer, m{"iss": strings.TrimSuffix(testIssuer, "/")}), b.claimed("iss in capitals", issuer, m{"iss": strings.ToUpper(testIssuer)}),
		b.claimed("iss with a suffix", issuer, m{"iss": testIssuer + "x"}), b.claimed("iss with a space", issuer, m{"iss": testIssuer + " "}), b.claimed("iss over http", issuer, m{"iss": "http://login.example.com/"}),
		b.claimed("iss an array", "iss: not a string", m{"iss": []string{testIssuer}}), b.claimed("iss a number", "iss: not a string", m{"iss": 1}), b.claimed("iss null", "iss: not a string", m{"iss": (*int)(nil)}),
		b.claimed("iss an object", "iss: not a string", m{"iss": m{}}),
		b.claimed("no aud", "aud", m{"aud": nil}), b.claimed("aud another", audience, m{"aud": "other"}), b.claimed("aud others", audience, m{"aud": []string{"x", "y"}}),
		b.claimed("aud empty", "aud", m{"aud": ""}), b.claimed("aud no items", "aud", m{"aud": []string{}}), b.claimed("aud in capitals", audience, m{"aud": "APP"}),
		b.claimed("aud with a suffix", audience, m{"aud": "app2"}), b.claimed("aud as a list in a string", audience, m{"aud": "app,other"}), b.claimed("aud with a space", audience, m{"aud": "app "}),
		b.claimed("aud null", "aud: neither", m{"aud": (*int)(nil)}), b.claimed("aud a number", "aud: neither", m{"aud": 1}), b.claimed("aud true", "aud: neither", m{"aud": true}), b.claimed("aud an object", "aud: neither", m{"aud": m{"app": 1}}),
		b.claimed("aud with a number in it", "not a string", m{"aud": []any{"app", 1}}), b.claimed("aud with null in it", "not a string", m{"aud": []any{"app", nil}}), b.claimed("aud nested", "not a string", m{"aud": []any{[]string{"app"}}}),
	}
}

func (b bench) identities() []forgery {
	const kind = "sub: not a string"
	list := []forgery{
		b.claimed("no sub", "missing or empty", m{"sub": nil}), b.claimed("sub empty", "missing or empty", m{"sub": ""}),
		b.claimed("sub a number", kind, m{"sub": 1}), b.claimed("sub a fraction", kind, m{"sub": 1.5}), b.claimed("sub null", kind, m{"sub": (*int)(nil)}),
		b.claimed("sub true", kind, m{"sub": true}), b.claimed("sub an object", kind, m{"sub": m{"id": "ana"}}), b.claimed("sub an array", kind, m{"sub": []string{"ana"}}),
		b.claimed("sub of 257 bytes", "longer than 256", m{"sub": strings.Repeat("x", 257)}), b.claimed("sub of 257 bytes in two-byte letters", "longer than 256", m{"sub": strings.Repeat("é", 128) + "x"}),
		b.claimed("user id only in user_metadata", "missing or empty", m{"sub": nil, "user_metadata": m{"sub": "ana"}}), b.claimed("user id under another name", "missing or empty", m{"sub": nil, "user_id": "ana"}),
		b.claimed("plan a number", "not a string", m{"plan": 1}), b.claimed("plan an array", "not a string", m{"plan": []string{"pro"}}), b.claimed("plan an object", "not a string", m{"plan": m{"pro": true}}),
		b.claimed("plan true", "not a string", m{"plan": true}), b.claimed("plan with a control character", "control characters", m{"plan": "pro\x00"}), b.claimed("plan of 300 bytes", "longer than 256", m{"plan": strings.Repeat("p", 300)}),
	}
	for _, c := range []string{"\x00", "\x01", "\t", "\n", "\r", "\x1b[2J", "\x7f", "\u0085", "\u009f"} {
		list = append(list, b.claimed(fmt.Sprintf("sub with %q", c), "control characters", m{"sub": "a" + c + "b"}))
	}
	return list
}
