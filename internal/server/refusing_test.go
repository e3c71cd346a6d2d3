package server

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"keyshield/internal/upstream"
)

func TestWhatOpenAIRefusesUsForIsToldOnceAMinute(t *testing.T) {
	quota, rights := fmt.Errorf("a call: %w", upstream.ErrQuota), fmt.Errorf("a call: %w", upstream.ErrKeyRefused)
	none := fmt.Errorf("%w: %w", upstream.ErrKeyRefused, upstream.ErrNoKey)
	type step struct {
		after time.Duration
		err   error
		why   ProviderRefusal
		tell  bool
	}
	for name, steps := range map[string][]step{
		"quota":            {{0, quota, QuotaSpent, true}, {time.Second, quota, QuotaSpent, false}, {time.Minute, quota, QuotaSpent, true}, {0, nil, NotRefused, false}},
		"no right":         {{0, rights, NotRefused, false}, {59 * time.Second, rights, NotRefused, false}, {time.Second, rights, RightsLacked, true}, {time.Second, rights, RightsLacked, false}},
		"an answer":        {{0, rights, NotRefused, false}, {time.Minute, nil, NotRefused, false}, {time.Second, rights, NotRefused, false}},
		"another failure":  {{0, quota, QuotaSpent, true}, {time.Minute, errors.New("down"), NotRefused, false}, {time.Second, quota, QuotaSpent, true}},
		"quota, no right":  {{0, quota, QuotaSpent, true}, {time.Minute, rights, QuotaSpent, false}, {time.Minute, rights, RightsLacked, true}, {time.Second, quota, QuotaSpent, true}},
		"no key is left":   {{0, none, NotRefused, false}, {time.Minute, none, NotRefused, false}, {time.Hour, none, NotRefused, false}},
		"nothing is wrong": {{0, nil, NotRefused, false}, {time.Hour, nil, NotRefused, false}},
	} {
		var f refusing
		at := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
		for i, s := range steps {
			at = at.Add(s.after)
			if why, tell := f.hear(s.err, at); why != s.why || tell != s.tell {
				t.Errorf("%s, step %d: %q, told %v; want %q, %v", name, i+1, why, tell, s.why, s.tell)
			}
		}
		if last := steps[len(steps)-1]; last.err == nil && f.now() != NotRefused {
			t.Errorf("%s: %q after an answer", name, f.now())
		}
	}
}
