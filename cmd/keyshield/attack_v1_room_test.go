package main

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"keyshield/internal/sim"
)

// manyVectors asks for an answer that takes almost all that one user may have of the
// room for large answers.
func manyVectors(words string) string {
	return `{"model":"text-embedding-3-small","encoding_format":"float","input":["` + words + ` hi"` + strings.Repeat(`,"x"`, 899) + `]}`
}

// TestWhoHasNoRoomForALargeAnswerIsNotCharged: it is refused soon, before anything is
// sent, and one user alone does not take the room of all.
func TestWhoHasNoRoomForALargeAnswerIsNotCharged(t *testing.T) {
	t.Parallel()
	r := hastyV1(t, "UPSTREAM_TIMEOUT=1m")
	const path = "/v1/embeddings"
	as := func(user string) string { return "Authorization: Bearer " + r.token(user) }

	ctx, leave := context.WithCancel(t.Context())
	var held sync.WaitGroup
	hold := func(user string, calls int64) {
		req := r.request(path, manyVectors("[[sim fault=hang_before]]"), as(user)).WithContext(ctx)
		held.Go(func() {
			if resp, err := r.web.Do(req); err == nil {
				resp.Body.Close()
			}
		})
		r.await(t, "the large answer of "+user, func(s sim.Report) bool { return s.Calls == calls })
	}
	wants := func(user string, status int, code string) {
		before, began := r.asked(), time.Now()
		got := r.post(path, manyVectors(""), as(user))
		got.wantsV1(t, status, code)
		wantsHeaders(t, user, got, "2", false)
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("%s waited %v", user, took)
		}
		if r.asked() != before {
			t.Errorf("%s: OpenAI was asked", user)
		}
		if a := r.mine(user); user != "mallory" && a.Day.Used != "0" {
			t.Errorf("%s was charged %s for what was not sent", user, a.Day.Used)
		}
	}

	hold("mallory", 1)
	wants("mallory", http.StatusServiceUnavailable, "overloaded") // and the other half is there for
	hold("ana", 2)
	wants("bob", http.StatusServiceUnavailable, "overloaded")
	if got := r.post(path, wayTo("embeddings").body("hi"), as("bob")); got.status != 200 {
		t.Errorf("a usual answer waits for room it does not need: %d %s", got.status, got.body)
	}
	leave()
	held.Wait()
	if got := r.post(path, manyVectors(""), as("bob")); got.status != 200 {
		t.Errorf("the room of who left stays taken: %d %s", got.status, got.body)
	}
}

// TestManyModerationsAtOnceNeedNoRoom: what can come is reckoned from what was asked,
// or a few usual questions at once would be too many.
func TestManyModerationsAtOnceNeedNoRoom(t *testing.T) {
	t.Parallel()
	r := hastyV1(t)
	const many = 24
	ctx, leave := context.WithCancel(t.Context())
	var held sync.WaitGroup
	w := wayTo("moderations")
	for range many {
		req := r.request(w.path, w.body("[[sim fault=hang_before]] hi")).WithContext(ctx)
		held.Go(func() {
			if resp, err := r.web.Do(req); err == nil {
				resp.Body.Close()
				t.Errorf("got %d", resp.StatusCode)
			}
		})
	}
	r.await(t, "all of them", func(s sim.Report) bool { return s.Open == many })
	leave()
	held.Wait()
}
