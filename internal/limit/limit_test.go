package limit_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"keyshield/internal/limit"
)

func take(l *limit.Limiter, key string) limit.Decision {
	return l.Take(httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, "/", nil), key)
}

func TestAsManyAsTheRateThenRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limit.New(limit.Rate{Count: 3, Period: 15 * time.Minute}, 10)
		for left := 2; left >= 0; left-- {
			d := take(l, "ana")
			if !d.Allowed || d.Limit != 3 || d.Remaining != left || d.Wait != 0 || d.Reset <= 0 || d.Policy != "3;w=900" {
				t.Fatalf("with %d left: %+v", left, d)
			}
		}
		d := take(l, "ana")
		if d.Allowed || d.Remaining != 0 || d.Wait <= 0 || d.Reset != d.Wait {
			t.Errorf("the fourth of three: %+v, want a refusal with nothing left and Reset = Wait", d)
		}
		if !take(l, "ben").Allowed {
			t.Error("ben pays for ana")
		}
		time.Sleep(d.Wait - 1)
		if take(l, "ana").Allowed {
			t.Error("let through before the wait it told was over")
		}
		time.Sleep(time.Nanosecond)
		if !take(l, "ana").Allowed {
			t.Error("refused again after the wait it told")
		}
	})
}

// TestWaitIsExactlyTrue drives random limits with random traffic. After each
// refusal the client either waits a nanosecond less, and must be refused, and then
// is let through; or it waits whole seconds, as a Retry-After makes it.
func TestWaitIsExactlyTrue(t *testing.T) {
	for seed := range uint64(150) {
		synctest.Test(t, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 1))
			rate := limit.Rate{Count: 1 + rnd.IntN(30), Period: time.Duration(1+rnd.IntN(4000)) * time.Second}
			l := limit.New(rate, 5)
			time.Sleep(time.Duration(rnd.Int64N(int64(10 * rate.Period))))
			for range 150 {
				time.Sleep(time.Duration(rnd.ExpFloat64() * float64(rate.Period) / float64(rate.Count) / 2))
				d := take(l, "ana")
				if d.Allowed {
					continue
				}
				if rnd.IntN(2) == 0 {
					time.Sleep(d.Wait - 1)
					if early := take(l, "ana"); early.Allowed || early.Wait != 1 {
						t.Fatalf("%v: 1ns before the end of a wait of %v: %+v, want a refusal for 1ns", rate, d.Wait, early)
					}
					time.Sleep(time.Nanosecond)
				} else {
					time.Sleep((d.Wait + time.Second - 1).Truncate(time.Second))
				}
				if after := take(l, "ana"); !after.Allowed {
					t.Fatalf("%v: waited %v and was refused: %+v", rate, d.Wait, after)
				}
			}
		})
	}
}

func TestRemainingAndResetComeTrue(t *testing.T) {
	for seed := range uint64(200) {
		synctest.Test(t, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 2))
			rate := limit.Rate{Count: 2 + rnd.IntN(20), Period: time.Duration(1+rnd.IntN(4000)) * time.Second}
			l := limit.New(rate, 5)
			time.Sleep(time.Duration(rnd.Int64N(int64(10 * rate.Period))))
			var d limit.Decision
			for range 1 + rnd.IntN(60) {
				time.Sleep(time.Duration(rnd.ExpFloat64() * float64(rate.Period) / float64(rate.Count)))
				d = take(l, "ana")
			}
			want := d.Remaining
			if d.Allowed && d.Reset > rate.Period {
				t.Fatalf("%v says that it takes %v", rate, d.Reset)
			}
			if rnd.IntN(2) == 0 {
				time.Sleep(d.Reset)
				if d.Reset < rate.Period || !d.Allowed {
					want++
				}
			} else {
				time.Sleep(d.Reset - 1)
			}
			got := 0
			for take(l, "ana").Allowed {
				got++
			}
			if got != want {
				t.Fatalf("%v said %d left and one more in %v; then %d were let through, want %d", rate, d.Remaining, d.Reset, got, want)
			}
		})
	}
}

func TestOfTheRequestsAtOnceExactlyTheRateGetThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // the bubble's clock stands still meanwhile
		const rate, requests = 37, 400
		l := limit.New(limit.Rate{Count: rate, Period: time.Hour}, 10)
		var through atomic.Int64
		var wg sync.WaitGroup
		for range requests {
			wg.Go(func() {
				if d := take(l, "ana"); d.Allowed {
					through.Add(1)
				} else if d.Remaining != 0 || d.Wait <= 0 {
					t.Errorf("refused with %+v", d)
				}
			})
		}
		wg.Wait()
		if got := through.Load(); got != rate {
			t.Errorf("%d of %d requests got through, want %d", got, requests, rate)
		}
	})
}

func TestStrangersShareWhenFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := limit.New(limit.Rate{Count: 3, Period: time.Minute}, 2)
		take(l, "ana")
		take(l, "ben")
		for i, want := range []bool{true, true, true, false, false} {
			if got := take(l, fmt.Sprint("stranger", i)).Allowed; got != want {
				t.Errorf("stranger %d allowed: %v, want %v: three for all of them", i, got, want)
			}
		}
		if d := take(l, "ana"); !d.Allowed || d.Remaining != 1 {
			t.Errorf("ana, who was here first: %+v, want her own second of three", d)
		}

		// A stranger finds room in the next window, but does not start afresh there.
		time.Sleep(time.Minute)
		if take(l, "stranger0").Allowed {
			t.Error("a new window forgot what strangers used in the last")
		}
		time.Sleep(2 * time.Minute)
		if !take(l, "stranger0").Allowed {
			t.Error("strangers are refused for ever")
		}
	})
}

func TestNothingIsWrittenToTheClient(t *testing.T) {
	l := limit.New(limit.Rate{Count: 1, Period: time.Hour}, 10)
	for range 3 {
		w := httptest.NewRecorder()
		l.Take(w, httptest.NewRequest(http.MethodGet, "/", nil), "ana")
		if len(w.Header()) != 0 || w.Body.Len() != 0 {
			t.Errorf("httprate wrote %v %q", w.Header(), w.Body)
		}
	}
}

func TestOffLimitsNothing(t *testing.T) {
	l := limit.New(limit.Rate{}, 1)
	for range 1000 {
		if d := take(l, "ana"); d != (limit.Decision{Allowed: true}) {
			t.Fatalf("off: %+v, want allowed and nothing to tell", d)
		}
	}
}

func BenchmarkTake(b *testing.B) {
	for name, rate := range map[string]limit.Rate{"allowed": {Count: 1e9, Period: time.Hour}, "refused": {Count: 1, Period: time.Hour}} {
		b.Run(name, func(b *testing.B) {
			l := limit.New(rate, 1000)
			w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil)
			b.ReportAllocs()
			for b.Loop() {
				l.Take(w, r, "ana")
			}
		})
	}
}
