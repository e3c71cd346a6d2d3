package auth

import (
	"crypto/sha256"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

func numbered(i int) [32]byte { return sha256.Sum256(fmt.Append(nil, i)) }

func TestCacheNeverGrowsPastItsBound(t *testing.T) {
	c := newCache(100)
	expires := time.Now().Add(time.Hour)
	for i := range 10_000 {
		_, epoch, _ := c.get(numbered(i))
		c.put(epoch, numbered(i), Caller{ID: "x", Expires: expires})
		if c.len() > 100 {
			t.Fatalf("%d entries after %d tokens", c.len(), i+1)
		}
	}
}

func TestATokenInUseSurvivesAFlood(t *testing.T) {
	c := newCache(100)
	expires := time.Now().Add(time.Hour)
	c.put(0, numbered(-1), Caller{ID: "ana", Expires: expires})
	for i := range 10_000 {
		c.put(0, numbered(i), Caller{ID: "x", Expires: expires})
		if i%20 == 0 {
			if caller, _, ok := c.get(numbered(-1)); !ok || caller.ID != "ana" {
				t.Fatalf("pushed out after %d strangers", i+1)
			}
		}
	}
}

func TestCacheForgetsAtExpiryNotAfterTheLeeway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(100)
		c.put(0, numbered(1), Caller{ID: "ana", Expires: time.Now().Add(time.Minute)})
		time.Sleep(time.Minute - 1)
		if _, _, ok := c.get(numbered(1)); !ok {
			t.Error("forgotten too soon")
		}
		time.Sleep(time.Nanosecond)
		if _, _, ok := c.get(numbered(1)); ok {
			t.Error("remembered past exp")
		}
	})
}

// A token remembered must end exactly when one that was never seen ends.
func TestARememberedTokenLivesNoLongerThanAStranger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		known, stranger := newVerifier(t, hsConfig()), newVerifier(t, hsConfig())
		token := sign(t, testSecret, m{"alg": "HS256"}, m{"sub": "ana", "exp": in(time.Minute)})
		for range 200 {
			_, errKnown := known.Verify(t.Context(), token)
			_, errStranger := stranger.Verify(t.Context(), token)
			stranger.seen.drop()
			if (errKnown == nil) != (errStranger == nil) {
				t.Fatalf("remembered: %v, new: %v", errKnown, errStranger)
			}
			if errKnown != nil {
				return
			}
			time.Sleep(time.Second)
		}
		t.Error("the token never ended")
	})
}

func TestAVerdictByOldKeysIsNotRememberedAfterTheyChanged(t *testing.T) {
	c := newCache(100)
	_, epoch, _ := c.get(numbered(1))
	c.drop() // the keys change while the signature is being checked
	c.put(epoch, numbered(1), Caller{ID: "ana", Expires: time.Now().Add(time.Hour)})
	if _, _, ok := c.get(numbered(1)); ok {
		t.Error("remembered")
	}
}

func TestVerifyIsSafeForConcurrentUse(t *testing.T) {
	v := newVerifier(t, hsConfig())
	var tokens []string
	for i := range 50 {
		tokens = append(tokens, sign(t, testSecret, m{"alg": "HS256"}, m{"sub": fmt.Sprint("user", i), "exp": in(time.Hour)}))
	}
	done := make(chan bool)
	for range 8 {
		go func() {
			defer func() { done <- true }()
			for round := range 20 {
				for i, token := range tokens {
					if caller, err := v.Verify(t.Context(), token); err != nil || caller.ID != fmt.Sprint("user", i) {
						t.Errorf("token %d: %+v, %v", i, caller, err)
					}
				}
				if round%5 == 0 {
					v.seen.drop()
				}
			}
		}()
	}
	for range 8 {
		<-done
	}
}
