package auth

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// Nothing but the very tokens we minted passes: not a byte more, less or other.
// The fuzzer edits tokens of this process or brings its own, whole.
func FuzzVerify(f *testing.F) {
	b := newBench(f)
	claims := with(b.claims, m{"exp": in(20 * time.Hour)})
	minted := []string{
		sign(f, testSecret, b.hsHeader, claims),
		sign(f, keys().rsa, b.jwksHeader, claims),
		sign(f, keys().ec, m{"alg": "ES256", "kid": "e"}, claims),
		sign(f, keys().ed, m{"alg": "EdDSA", "kid": "o"}, claims),
	}
	for i := range minted {
		f.Add(uint8(i), uint16(0), uint16(0), "")
		f.Add(uint8(i), uint16(30), uint16(1), "A")
		f.Add(uint8(i), uint16(len(minted[i])), uint16(0), "=")
	}
	for _, list := range [][]forgery{b.forms(), b.headers(), b.documents(), b.algorithms(), b.kids()} {
		for _, bad := range list {
			if len(bad.token) < 1<<14 {
				f.Add(uint8(0), uint16(0), uint16(1<<15), bad.token)
			}
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, at, cut uint16, put string) {
		token := minted[int(which)%len(minted)]
		from := min(int(at), len(token))
		token = token[:from] + put + token[min(from+int(cut), len(token)):]
		for _, v := range []*Verifier{b.hs, b.jwks} {
			caller, err := v.Verify(context.Background(), token)
			if err == nil && !slices.Contains(minted, token) && !ours(t, b, token) {
				t.Fatalf("%q passes as %+v", token, caller)
			}
			if err != nil {
				refused(t, err, 403, "token_invalid")
			}
		}
	})
}

// ours makes the token again from what it says. Seeds come from other processes,
// which have minted sound tokens at other times, with the same secret.
func ours(t *testing.T, b bench, token string) bool {
	raw, err := decode(strings.Split(token, ".")[1])
	if err != nil {
		return false
	}
	var claims m
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if err := d.Decode(&claims); err != nil || len(claims) != len(b.claims) {
		return false
	}
	for name := range b.claims {
		if _, ok := claims[name]; !ok {
			return false
		}
	}
	return claims["sub"] == "ana" && token == sign(t, testSecret, b.hsHeader, claims)
}

// Whatever a sound signature covers: a caller that passes is the one every
// other reader of the same token would see, and can be stored and printed.
func FuzzClaims(f *testing.F) {
	b := newBench(f)
	for _, list := range [][]forgery{b.documents(), b.times(), b.identities(), b.addressees()} {
		for _, bad := range list {
			payload, _, _ := strings.Cut(strings.SplitN(bad.token+"..", ".", 3)[1], ".")
			if raw, err := decode(payload); err == nil {
				f.Add(raw)
			}
		}
	}
	f.Add([]byte(toJSON(f, b.claims)))
	f.Add([]byte(strings.Replace(toJSON(f, b.claims), "{", `{"x":9e99999999,`, 1)))
	cfg := hsConfig()
	cfg.PlanClaim = "a.b"
	v := newVerifier(f, cfg)
	f.Fuzz(func(t *testing.T, payload []byte) {
		caller, err := v.Verify(context.Background(), sign(t, testSecret, b.hsHeader, payload))
		if err != nil {
			refused(t, err, 403, "token_invalid")
			return
		}
		seen, err := asAny(payload)
		if err != nil {
			t.Fatalf("passed, but is not JSON: %v", err)
		}
		claims, _ := seen.(map[string]any)
		if claims["sub"] != caller.ID || plainText(caller.ID) != nil {
			t.Errorf("caller %q, claim %v", caller.ID, claims["sub"])
		}
		if left := time.Until(caller.Expires); left > 24*time.Hour+Leeway || left < -Leeway {
			t.Errorf("%v of lifetime left", left)
		}
		if iss, ok := claims["iss"]; ok && iss != caller.Issuer {
			t.Errorf("issuer %q, claim %v", caller.Issuer, iss)
		}
	})
}

// A strict reader accepts less than a lax one, and reads nothing differently.
func FuzzReadObject(f *testing.F) {
	for _, seed := range []string{`{}`, `{"a":1}`, `{"a":{"b":[1,"x",null]},"A":2}`, `{"a":1,"a":2}`, "{\"\xff\":1}", `{"a":"\ud800"}`, ` { "a" : 1e9 } `, `{"ſ":1,"S":2}`, `[]`, `{} {}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := readObject(data, claimNames)
		if err != nil {
			return
		}
		var want map[string]json.RawMessage
		if err := json.Unmarshal(data, &want); err != nil {
			t.Fatalf("accepted %q, which is not JSON: %v", data, err)
		}
		if len(got) != len(want) {
			t.Fatalf("%d members, encoding/json sees %d", len(got), len(want))
		}
		for name, value := range got {
			a, errA := asAny(value)
			b, errB := asAny(want[name])
			if errA != nil || errB != nil || !reflect.DeepEqual(a, b) {
				t.Errorf("%q: %q, encoding/json sees %q", name, value, want[name])
			}
			for other := range got {
				if name != other && strings.EqualFold(name, other) {
					t.Errorf("both %q and %q", name, other)
				}
			}
		}
	})
}

// A key set can say anything; what is taken from it can verify and nothing else.
func FuzzReadKeys(f *testing.F) {
	k := keys()
	for _, key := range []m{
		jwk("r", k.rsa, nil), jwk("e", k.ec, nil), jwk("o", k.ed, nil), jwk("w", k.weak, nil), jwk("p", k.p384, nil), jwk("h", k.ec, m{"x": strings.Repeat("A", 80)}),
		jwk("y", k.ec, m{"y": ""}), {"kty": "oct", "kid": "s", "k": "AAAA"}, jwk("d", k.ec, m{"d": "AAAA"}), jwk("x5", k.rsa, m{"x5c": []string{"AAAA"}, "x5u": "x"}),
	} {
		f.Add([]byte(keySetOf(f, key)))
	}
	f.Fuzz(func(t *testing.T, document []byte) {
		got, _, err := readKeys(document)
		if err != nil && len(got) > 0 {
			t.Error("an error and keys")
		}
		seen := map[string]bool{}
		for _, key := range got {
			published := key.Marshal()
			if seen[published.KID] || published.KID == "" || published.D != "" || published.K != "" || checkKey(key.Key()) != nil {
				t.Errorf("took %+v", published)
			}
			seen[published.KID] = true
		}
	})
}

// asAny reads one value as any reader of JSON might. Numbers stay as they are
// written: 9e99999999 is sound JSON that only fits no float64.
func asAny(raw []byte) (any, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if d.More() {
		return nil, errors.New("more than one value")
	}
	return v, nil
}
