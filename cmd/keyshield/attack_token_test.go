package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"hash"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
)

// sign makes a token of any header and claims, soundly signed unless key is not
// the server's.
func sign(header, claims, key string, with func() hash.Hash) string {
	b64 := base64.RawURLEncoding.EncodeToString
	signed := b64([]byte(header)) + "." + b64([]byte(claims))
	mac := hmac.New(with, []byte(key))
	mac.Write([]byte(signed))
	return signed + "." + b64(mac.Sum(nil))
}

const plainHeader = `{"alg":"HS256","typ":"JWT"}`

// forged are bad tokens; a sample of the variants that internal/auth refuses.
func forged(good string) map[string]string {
	now := time.Now().Unix()
	claims := func(format string, args ...any) string {
		return sign(plainHeader, fmt.Sprintf(format, args...), jwtSecret, sha256.New)
	}
	fine := fmt.Sprintf(`{"sub":"ana","exp":%d}`, now+600)
	parts := strings.Split(good, ".")
	b64 := base64.RawURLEncoding.EncodeToString
	return map[string]string{
		"no signature":           parts[0] + "." + parts[1] + ".",
		"two parts":              parts[0] + "." + parts[1],
		"four parts":             good + ".x",
		"a changed claim":        parts[0] + "." + b64([]byte(fine)) + "." + parts[2],
		"a changed signature":    parts[0] + "." + parts[1] + "." + strings.Repeat("A", len(parts[2])),
		"padding":                good + "=",
		"alg none":               b64([]byte(`{"alg":"none"}`)) + "." + b64([]byte(fine)) + ".",
		"alg nOnE":               sign(`{"alg":"nOnE"}`, fine, jwtSecret, sha256.New),
		"no alg":                 sign(`{"typ":"JWT"}`, fine, jwtSecret, sha256.New),
		"alg RS256":              sign(`{"alg":"RS256"}`, fine, jwtSecret, sha256.New),
		"alg HS512, signed so":   sign(`{"alg":"HS512"}`, fine, jwtSecret, sha512.New),
		"the alg twice":          sign(`{"alg":"none","alg":"HS256"}`, fine, jwtSecret, sha256.New),
		"another case of alg":    sign(`{"alg":"HS256","ALG":"none"}`, fine, jwtSecret, sha256.New),
		"crit":                   sign(`{"alg":"HS256","crit":["x"],"x":1}`, fine, jwtSecret, sha256.New),
		"another type":           sign(`{"alg":"HS256","typ":"JWE"}`, fine, jwtSecret, sha256.New),
		"another key":            sign(plainHeader, fine, jwtSecret+"x", sha256.New),
		"an empty key":           sign(plainHeader, fine, "", sha256.New),
		"a key of its own (jwk)": sign(`{"alg":"HS256","jwk":{"kty":"oct","k":"eA"}}`, fine, "x", sha256.New),
		"expired":                claims(`{"sub":"ana","exp":%d}`, now-31),
		"no expiry":              claims(`{"sub":"ana"}`),
		"expiry as a string":     claims(`{"sub":"ana","exp":"%d"}`, now+600),
		"expiry null":            claims(`{"sub":"ana","exp":null}`),
		"the year 31688740476":   claims(`{"sub":"ana","exp":1000000000000000000}`),
		"valid for 25 hours":     claims(`{"sub":"ana","exp":%d}`, now+25*3600),
		"not yet valid":          claims(`{"sub":"ana","exp":%d,"nbf":%d}`, now+600, now+120),
		"from the future":        claims(`{"sub":"ana","exp":%d,"iat":%d}`, now+600, now+120),
		"no user":                claims(`{"exp":%d}`, now+600),
		"an empty user":          claims(`{"sub":"","exp":%d}`, now+600),
		"a number as the user":   claims(`{"sub":1,"exp":%d}`, now+600),
		"a control in the user":  claims(`{"sub":"a\u0000b","exp":%d}`, now+600),
		"a long user":            claims(`{"sub":"%s","exp":%d}`, strings.Repeat("a", 257), now+600),
		"the user twice":         claims(`{"sub":"ana","sub":"eve","exp":%d}`, now+600),
		"another case of sub":    claims(`{"sub":"ana","SUB":"eve","exp":%d}`, now+600),
		"claims that are a list": claims(`[]`),
		"claims and more":        claims(`{"sub":"ana","exp":%d} {}`, now+600),
		"longer than 8 KiB":      claims(`{"sub":"ana","exp":%d,"x":"%s"}`, now+600, strings.Repeat("x", 8<<10)),
		"white space inside":     parts[0] + ". " + parts[1] + "." + parts[2],
		"a list":                 good + ", " + good,
		"quotes":                 `"` + good + `"`,
		"a parameter":            good + "; charset=utf-8",
		"the scheme again":       "Bearer " + good,
		"a leading tab":          "\t" + good,
		"bytes above ASCII":      good + "\xff\xfe",
		"only dots":              "..",
	}
}

// TestEveryBadTokenIsRefusedAlike: from the answer nobody can tell what was wrong
// with a token, and none costs a call.
func TestEveryBadTokenIsRefusedAlike(t *testing.T) {
	t.Parallel()
	r := target(t)
	good := r.token("ana")
	lines := map[string]string{
		"two headers":               "Authorization: Bearer " + good + "\r\nAuthorization: Bearer " + good,
		"two, the second another":   "Authorization: Bearer " + good + "\r\nAuthorization: Basic YTpi",
		"two, the first another":    "Authorization: Basic YTpi\r\nauthorization: Bearer " + good,
		"two, the first empty":      "Authorization:\r\nAuthorization: Bearer " + good,
		"folded into a second line": "Authorization: Bearer " + good + "\r\n Bearer " + good,
		"no token":                  "Authorization: Bearer",
	}
	for name, token := range forged(good) {
		lines[name] = "Authorization: Bearer " + token
	}
	refusedAlike(t, r, lines, 403, "token_invalid", "Invalid or expired security token.")
}

// TestAnythingButABearerHeaderIsNoToken.
func TestAnythingButABearerHeaderIsNoToken(t *testing.T) {
	t.Parallel()
	r := target(t)
	good := r.token("ana")
	refusedAlike(t, r, map[string]string{
		"nothing":               "X-Nothing: 1",
		"empty":                 "Authorization:",
		"the token alone":       "Authorization: " + good,
		"Basic":                 "Authorization: Basic YTpi",
		"Basic with the token":  "Authorization: Basic " + good,
		"Digest":                "Authorization: Digest " + good,
		"a scheme that begins":  "Authorization: BearerX " + good,
		"a tab for the space":   "Authorization: Bearer\t" + good,
		"a no-break space":      "Authorization: Bearer\u00a0" + good,
		"a colon":               "Authorization: Bearer: " + good,
		"a comma":               "Authorization: Bearer, Bearer " + good,
		"a cookie":              "Cookie: Authorization=Bearer " + good + "; token=" + good,
		"another header":        "X-Authorization: Bearer " + good,
		"a proxy's header":      "Proxy-Authorization: Bearer " + good,
		"an underscore":         "X_Authorization: Bearer " + good,
		"hop by hop":            "Connection: Authorization",
		"a WebSocket protocol":  "Sec-WebSocket-Protocol: bearer, " + good,
		"a full-width scheme":   "Authorization: \uff22earer " + good,
		"an API key's header":   "X-Api-Key: " + good,
		"another user's header": "X-User-Id: ana\r\nX-Forwarded-User: ana\r\nRemote-User: ana",
	}, 401, "token_missing", "Access denied. No security token provided.")
}

// refusedAlike sends a good body with each of the header lines.
func refusedAlike(t *testing.T, r *rig, lines map[string]string, status int, code, text string) {
	t.Helper()
	const body = `{"userPrompt":"hello"}`
	var first *reply
	r.untouched(func() {
		for name, line := range lines {
			raw := fmt.Sprintf("POST /api/generate-text HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nConnection: close\r\n%s\r\nContent-Length: %d\r\n\r\n%s", line, len(body), body)
			answers, ended := r.talk(raw, 10*time.Second)
			if len(answers) != 1 || !ended {
				t.Errorf("%s: %v answers, ended: %v", name, statuses(answers), ended)
				continue
			}
			got := answers[0]
			if p := got.wants(t, status, code); p.Error != text {
				t.Errorf("%s: %q, want the one text for all, %q", name, p.Error, text)
			}
			if ask := got.header["Www-Authenticate"]; len(ask) != 1 || ask[0] != "Bearer" {
				t.Errorf("%s: WWW-Authenticate %q, want the one for all, Bearer", name, ask)
			}
			if first == nil {
				first = &got
			}
			if len(got.body) != len(first.body) || !slices.Equal(slices.Sorted(maps.Keys(got.header)), slices.Sorted(maps.Keys(first.header))) {
				t.Errorf("%s: the answer differs from the others:\n%v\n%v", name, got, first)
			}
			for part := range strings.FieldsFuncSeq(line, func(c rune) bool { return strings.ContainsRune(" .,;\r\n\t", c) }) {
				if len(part) >= 24 && strings.Contains(r.log.String(), part) {
					t.Errorf("%s: the log repeats a part of the token", name)
				}
			}
		}
	})
}

// TestATokenElsewhereIsNotLookedAt: in the address, in the body, after the body.
func TestATokenElsewhereIsNotLookedAt(t *testing.T) {
	t.Parallel()
	r := target(t)
	good := r.token("ana")
	r.untouched(func() {
		for _, query := range []string{"access_token=", "token=", "jwt=", "authorization=Bearer%20", "Authorization=Bearer+"} {
			r.post("/api/generate-text?"+query+good, promptBody("hello"), "Authorization:").wants(t, 401, "token_missing")
		}
		for _, raw := range []string{
			"POST /api/generate-text HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\nTrailer: Authorization\r\n\r\n16\r\n{\"userPrompt\":\"hello\"}\r\n0\r\nAuthorization: Bearer " + good + "\r\n\r\n",
			"POST http://ana:" + good + "@x/api/generate-text HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: 22\r\n\r\n{\"userPrompt\":\"hello\"}",
		} {
			answers, _ := r.talk(raw, 10*time.Second)
			if len(answers) != 1 || answers[0].status != 401 {
				t.Errorf("%.90q…: %v, want 401", raw, statuses(answers))
			}
		}
	})
	if strings.Contains(r.log.String(), good) {
		t.Error("the log holds a token that stood in an address")
	}
}

// TestTheSchemeIsBearerInAnyCase, with one or more spaces (RFC 9110 §11.1, §11.4).
func TestTheSchemeIsBearerInAnyCase(t *testing.T) {
	t.Parallel()
	r := target(t)
	good := r.token("ana")
	for _, line := range []string{"Authorization: Bearer ", "AUTHORIZATION: BEARER ", "authorization:bearer ", "Authorization:\t bEaReR   "} {
		raw := "POST /api/generate-text HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: 22\r\n" + line + good + " \t\r\n\r\n{\"userPrompt\":\"hello\"}"
		if answers, _ := r.talk(raw, 10*time.Second); len(answers) != 1 || answers[0].status != 200 {
			t.Errorf("%q: %v, want 200", line, statuses(answers))
		}
	}
}

// TestAHeaderOver16KiBIsRefused, before anything is made of it; one under it is not.
func TestAHeaderOver16KiBIsRefused(t *testing.T) {
	t.Parallel()
	r := target(t)
	fill := func(n int) map[string]string {
		return map[string]string{
			"one long header":     "X-Fill: " + strings.Repeat("x", n),
			"many short headers":  strings.TrimSuffix(strings.Repeat("X: y\r\n", n/6), "\r\n"),
			"a long token":        "X-Fill: x\r\nAuthorization: Bearer " + strings.Repeat("x", n),
			"a long name":         strings.Repeat("x", n) + ": x",
			"a long folded value": "X-Fill: x" + strings.Repeat("\r\n y", n/4),
		}
	}
	const request = "POST /api/generate-text HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n"
	r.untouched(func() {
		for name, line := range fill(16 << 10) {
			answers, _ := r.talk(request+line+"\r\n\r\n", 10*time.Second)
			if len(answers) != 1 || answers[0].status != 431 {
				t.Errorf("%s of 16 KiB: %v, want 431", name, statuses(answers))
			}
		}
		long := "GET /" + strings.Repeat("a", 16<<10) + " HTTP/1.1\r\nHost: x\r\n\r\n"
		if answers, _ := r.talk(long, 10*time.Second); len(answers) != 1 || answers[0].status != 431 {
			t.Errorf("an address of 16 KiB: %v, want 431", statuses(answers))
		}
		for name, line := range fill(15 << 10) {
			answers, _ := r.talk(request+line+"\r\n\r\n", 10*time.Second)
			if len(answers) != 1 || answers[0].status != 401 && answers[0].status != 403 {
				t.Errorf("%s of 15 KiB: %v, want it refused for its token", name, statuses(answers))
			}
		}
	})
}
