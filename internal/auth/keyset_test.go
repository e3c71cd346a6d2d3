package auth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// rsToken is a token by the provider's key of this id.
func rsToken(t testing.TB, kid string, key any, changes m) string {
	t.Helper()
	alg := "ES256"
	if kid == "r" || kid == "r2" {
		alg = "RS256"
	}
	claims := with(m{"sub": "ana", "iss": testIssuer, "aud": "app", "exp": in(time.Hour)}, changes)
	return sign(t, key, m{"alg": alg, "kid": kid}, claims)
}

// bubble runs f in a bubble with a verifier that asks p for its keys, after the
// first fetch. Verifier and time end with it.
func bubble(t *testing.T, p http.RoundTripper, f func(t *testing.T, v *Verifier)) {
	keys() // made outside: slow, and shared
	synctest.Test(t, func(t *testing.T) {
		v, err := New(t.Context(), jwksConfig(p), silent())
		if err != nil {
			t.Fatal(err)
		}
		defer v.Close()
		synctest.Wait()
		f(t, v)
	})
}

func TestWithoutKeysItIsUnavailableNotInvalid(t *testing.T) {
	p := &provider{down: errors.New("connection refused")}
	bubble(t, p, func(t *testing.T, v *Verifier) {
		good := rsToken(t, "e", keys().ec, nil)
		for name, token := range map[string]string{"good": good, "bad": "x.y.z"} {
			caller, err := v.Verify(t.Context(), token)
			refused(t, err, 503, "unavailable")
			if caller != (Caller{}) {
				t.Errorf("%s: %+v", name, caller)
			}
		}
		err := v.Ready()
		if err == nil || !strings.Contains(err.Error(), "connection refused") {
			t.Errorf("Ready() = %v, want the reason", err)
		}

		p.fail(nil)
		p.set("/keys", keySetOf(t, jwk("e", keys().ec, nil)))
		time.Sleep(2 * time.Second) // it tries again by itself, soon
		synctest.Wait()
		if err := v.Ready(); err != nil {
			t.Fatalf("still not ready: %v", err)
		}
		pass(t, v, good)
	})
}

func TestNewDoesNotWaitForTheKeys(t *testing.T) {
	p := &provider{delay: time.Hour}
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		v, err := New(t.Context(), jwksConfig(p), silent())
		if err != nil {
			t.Fatal(err)
		}
		if waited := time.Since(began); waited > 0 {
			t.Errorf("New waited %v", waited)
		}
		if v.Ready() == nil {
			t.Error("ready without keys")
		}
		time.Sleep(time.Minute)
		if err := v.Ready(); err == nil || !strings.Contains(err.Error(), "deadline") && !strings.Contains(err.Error(), "Timeout") {
			t.Errorf("Ready() = %v, want a timeout", err)
		}
		v.Close()
	})
}

func TestKeysOutliveAnOutage(t *testing.T) {
	p, sound := &provider{}, keySetOf(t, jwk("e", keys().ec, nil))
	p.set("/keys", sound)
	bubble(t, p, func(t *testing.T, v *Verifier) {
		for name, break_ := range map[string]func(){
			"down":          func() { p.fail(errors.New("down")) },
			"not found":     func() { p.mu.Lock(); p.answers = nil; p.mu.Unlock() },
			"HTML":          func() { p.set("/keys", "<html>sorry</html>") },
			"another thing": func() { p.set("/keys", `{"error":"sorry"}`) },
			"null":          func() { p.set("/keys", `null`) },
			"keys null":     func() { p.set("/keys", `{"keys":null}`) },
			"too large":     func() { p.set("/keys", `{"keys":[]}`+strings.Repeat(" ", maxDocument)) },
			"slow":          func() { p.set("/keys", `{"keys":[]}`); p.slow(time.Hour) },
			"duplicate":     func() { p.set("/keys", `{"keys":[],"keys":[]}`) },
		} {
			p.fail(nil)
			p.slow(0)
			p.set("/keys", sound)
			time.Sleep(2 * time.Hour) // all is well again
			break_()
			time.Sleep(2 * time.Hour)
			synctest.Wait()
			if err := v.Ready(); err != nil {
				t.Fatalf("%s: not ready: %v", name, err)
			}
			v.seen.drop()
			pass(t, v, rsToken(t, "e", keys().ec, nil))
			// Nobody can say now whether this key exists.
			_, err := v.Verify(t.Context(), rsToken(t, "new", keys().ec2, nil))
			refused(t, err, 503, "unavailable")
		}
	})
}

func TestAnUnknownKeyIsFetchedAtOnce(t *testing.T) {
	p := &provider{}
	p.set("/keys", keySetOf(t, jwk("e", keys().ec, nil)))
	bubble(t, p, func(t *testing.T, v *Verifier) {
		old, next := rsToken(t, "e", keys().ec, nil), rsToken(t, "e2", keys().ec2, nil)
		pass(t, v, old)
		time.Sleep(refreshGap)
		p.set("/keys", keySetOf(t, jwk("e", keys().ec, nil), jwk("e2", keys().ec2, nil)))
		p.slow(300 * time.Millisecond)
		pass(t, v, next) // waits for the fetch
		pass(t, v, old)
		if p.count() != 2 {
			t.Errorf("%d fetches, want 2", p.count())
		}
	})
}

func TestAFloodOfUnknownKeysFetchesOncePer10s(t *testing.T) {
	p := &provider{}
	p.set("/keys", keySetOf(t, jwk("e", keys().ec, nil)))
	bubble(t, p, func(t *testing.T, v *Verifier) {
		good := rsToken(t, "e", keys().ec, nil)
		p.slow(800 * time.Millisecond)
		before, began := p.count(), time.Now()
		for i := range 600 { // a minute
			var flood sync.WaitGroup
			for j := range 3 {
				flood.Go(func() {
					_, err := v.Verify(t.Context(), rsToken(t, fmt.Sprintf("x%d-%d", i, j), keys().ec2, nil))
					refused(t, err, 403, "token_invalid")
				})
			}
			asked := time.Now()
			v.seen.drop() // so that it has to find its key
			pass(t, v, good)
			if waited := time.Since(asked); waited > 0 {
				t.Fatalf("a good token waited %v behind the flood", waited)
			}
			flood.Wait()
			time.Sleep(100 * time.Millisecond)
		}
		took := time.Since(began)
		if got, most := p.count()-before, int(took/refreshGap)+1; got > most || got == 0 {
			t.Errorf("%d fetches in %v, want at most %d and at least one", got, took, most)
		}
	})
}

func TestAWaitForANewKeyIsShort(t *testing.T) {
	p := &provider{}
	p.set("/keys", keySetOf(t, jwk("e", keys().ec, nil)))
	bubble(t, p, func(t *testing.T, v *Verifier) {
		time.Sleep(refreshGap)
		p.slow(4 * time.Second)
		began := time.Now()
		_, err := v.Verify(t.Context(), rsToken(t, "new", keys().ec2, nil))
		refused(t, err, 503, "unavailable")
		if waited := time.Since(began); waited != refreshWait {
			t.Errorf("waited %v, want %v", waited, refreshWait)
		}
		ctx, leave := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer leave()
		began = time.Now()
		_, err = v.Verify(ctx, rsToken(t, "new", keys().ec2, nil))
		refused(t, err, 503, "unavailable")
		if waited := time.Since(began); waited != 100*time.Millisecond {
			t.Errorf("waited %v for a client that left after 100 ms", waited)
		}
		time.Sleep(5 * time.Second)
	})
}

func TestARevokedKeyStopsAtTheNextRefresh(t *testing.T) {
	p := &provider{}
	p.set("/keys", keySetOf(t, jwk("e", keys().ec, nil), jwk("e2", keys().ec2, nil)))
	bubble(t, p, func(t *testing.T, v *Verifier) {
		token := rsToken(t, "e", keys().ec, m{"exp": in(20 * time.Hour)})
		pass(t, v, token)
		p.set("/keys", keySetOf(t, jwk("e2", keys().ec2, nil)))
		time.Sleep(refreshEvery)
		synctest.Wait()
		_, err := v.Verify(t.Context(), token)
		refused(t, err, 403, "token_invalid") // though it was remembered

		// The same id with another key is a change too.
		other := rsToken(t, "e2", keys().ec2, m{"exp": in(20 * time.Hour)})
		pass(t, v, other)
		p.set("/keys", keySetOf(t, jwk("e2", keys().ec, nil)))
		time.Sleep(refreshEvery)
		synctest.Wait()
		_, err = v.Verify(t.Context(), other)
		refused(t, err, 403, "token_invalid")
	})
}

func TestAnEmptySetRevokesEverything(t *testing.T) {
	p := &provider{}
	p.set("/keys", keySetOf(t, jwk("e", keys().ec, nil)))
	bubble(t, p, func(t *testing.T, v *Verifier) {
		token := rsToken(t, "e", keys().ec, m{"exp": in(20 * time.Hour)})
		pass(t, v, token)
		p.set("/keys", `{"keys":[]}`)
		time.Sleep(refreshEvery)
		synctest.Wait()
		_, err := v.Verify(t.Context(), token)
		refused(t, err, 503, "unavailable")
		if err := v.Ready(); err == nil || !strings.Contains(err.Error(), "no usable key") {
			t.Errorf("Ready() = %v, want that there is no usable key", err)
		}
		p.set("/keys", keySetOf(t, jwk("e", keys().ec, nil)))
		time.Sleep(retryMax)
		synctest.Wait()
		pass(t, v, token)
	})
}

func TestAnUnchangedSetKeepsWhatWasVerified(t *testing.T) {
	p := &provider{}
	p.set("/keys", keySetOf(t, jwk("e", keys().ec, nil), jwk("r", keys().rsa, nil)))
	bubble(t, p, func(t *testing.T, v *Verifier) {
		pass(t, v, rsToken(t, "e", keys().ec, m{"exp": in(20 * time.Hour)}))
		p.set("/keys", keySetOf(t, jwk("r", keys().rsa, nil), jwk("e", keys().ec, nil))) // another order
		fetches := p.count()
		time.Sleep(refreshEvery)
		synctest.Wait()
		if p.count() != fetches+1 {
			t.Errorf("%d fetches in an hour, want one", p.count()-fetches)
		}
		if v.seen.len() != 1 {
			t.Error("a refresh without a change emptied the cache")
		}
	})
}

func TestRefreshesEveryHourAndStopsWithClose(t *testing.T) {
	p := &provider{}
	p.set("/keys", keySetOf(t, jwk("e", keys().ec, nil)))
	var v *Verifier
	bubble(t, p, func(t *testing.T, running *Verifier) {
		v = running
		time.Sleep(10*refreshEvery + time.Minute)
		if p.count() != 11 {
			t.Errorf("%d fetches in ten hours, want 11", p.count())
		}
		v.Close()
		time.Sleep(10 * refreshEvery)
		if p.count() != 11 {
			t.Error("still fetching after Close")
		}
		pass(t, v, rsToken(t, "e", keys().ec, nil)) // requests that are still running
	})
}

func TestOddKeysDoNotSpoilTheSet(t *testing.T) {
	good := jwk("e", keys().ec, m{"x5c": []string{"not a certificate"}, "x5t": "x", "x5u": "http://x"})
	document := toJSON(t, m{"keys": []any{1, nil, "x", m{}, m{"kty": 1}, jwk("e", keys().ec2, m{"use": "enc"}), good, jwk("e", keys().ec2, nil), jwk("", keys().ec2, nil)}})
	got, refusedKeys, err := readKeys([]byte(document))
	if err != nil || len(got) != 1 || got[0].Marshal().KID != "e" || !keys().ec.PublicKey.Equal(got[0].Key()) {
		t.Fatalf("keys = %v, %v; want the one good key", got, err)
	}
	if len(refusedKeys) != 8 {
		t.Errorf("%d reasons for 8 keys: %v", len(refusedKeys), refusedKeys)
	}
}
