package alert_test

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"keyshield/internal/alert"
)

var dead = map[string]transport{
	"connection refused": refused,
	"never answers": func(r *http.Request) (*http.Response, error) {
		<-r.Context().Done()
		return nil, r.Context().Err()
	},
	"500": func(r *http.Request) (*http.Response, error) { return answer(r, 500, "oops"), nil },
	"429": func(r *http.Request) (*http.Response, error) {
		return answer(r, 429, "rate_limited", "Retry-After", "3600"), nil
	},
	"404": func(r *http.Request) (*http.Response, error) { return answer(r, 404, "no_service"), nil },
}

func TestDeadReceiverBlocksNothing(t *testing.T) {
	for name, slack := range dead {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var in inbox
				o := both(transport(func(r *http.Request) (*http.Response, error) {
					if strings.HasPrefix(r.URL.Host, "hooks.") {
						return slack(r)
					}
					return in.RoundTrip(r)
				}))
				o.Dir = t.TempDir()
				a := start(t, o)
				start := time.Now()
				for i := range 1000 {
					a.Send(warning(i))
					a.Send(critical(i))
				}
				if took := time.Since(start); took > 0 {
					t.Errorf("Send waited %v", took)
				}
				synctest.Wait()
				if n := len(in.at("ops.")); n != 20 {
					t.Errorf("the living one was told %d at once, want 20", n)
				}
				time.Sleep(time.Minute)
				s := a.State()[0]
				if s.Failing.IsZero() || s.Error == "" || s.Failed == 0 || s.Pending > 31 {
					t.Errorf("the dead one's state is %+v", s)
				}
				start = time.Now()
				a.Close()
				if took := time.Since(start); took > 3*time.Second {
					t.Errorf("Close took %v", took)
				}
			})
		})
	}
}

// clock notes when something happened.
type clock struct {
	mu sync.Mutex
	at []time.Time
}

func (c *clock) tick() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = append(c.at, time.Now())
	return len(c.at)
}

func (c *clock) all() []time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.at)
}

func TestReceiverIsTriedAgainAtGrowingDistances(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tries clock
		o := webhookOnly(transport(func(r *http.Request) (*http.Response, error) {
			tries.tick()
			return answer(r, 500, ""), nil
		}))
		a := start(t, o)
		a.Send(critical(1))
		time.Sleep(23 * time.Hour)
		synctest.Wait()
		wait := time.Second
		times := tries.all()
		for i, at := range times[1:] {
			if gap := at.Sub(times[i]); gap > wait || gap < wait/2 {
				t.Fatalf("try %d came %v after the one before, want up to %v", i+2, gap, wait)
			}
			wait = min(2*wait, 15*time.Minute)
		}
		if n := len(times); n < 90 || n > 250 {
			t.Errorf("%d tries in 23 hours", n)
		}
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		n := len(tries.all())
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		if len(tries.all()) != n {
			t.Error("tried again after a day: nobody wants yesterday's alerts")
		}
		if s := a.State()[0]; s.Dropped != 1 || s.Pending != 0 {
			t.Errorf("state %+v, want one dropped", s)
		}
	})
}

func TestRetryAfterIsHonoured(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		header string
		want   time.Duration
	}{
		"seconds":        {429, "90", 90 * time.Second},
		"503":            {503, "120", 2 * time.Minute},
		"a date":         {429, "Sat, 01 Jan 2000 00:10:00 GMT", 10 * time.Minute}, // the bubble's clock begins at midnight
		"a year":         {429, "31536000", time.Hour},
		"now":            {429, "0", time.Second},
		"rubbish":        {429, "soon", -1},
		"not with a 500": {500, "600", -1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var tries clock
				a := start(t, webhookOnly(transport(func(r *http.Request) (*http.Response, error) {
					if tries.tick() > 1 {
						return answer(r, 200, ""), nil
					}
					return answer(r, c.status, "", "Retry-After", c.header), nil
				})))
				a.Send(critical(1))
				time.Sleep(2 * time.Hour)
				synctest.Wait()
				times := tries.all()
				if len(times) != 2 {
					t.Fatalf("%d tries, want 2", len(times))
				}
				got := times[1].Sub(times[0])
				if c.want < 0 && got <= time.Second {
					return // its own distance
				}
				if got != c.want {
					t.Errorf("tried again after %v, want %v", got, c.want)
				}
			})
		})
	}
}

func TestProblemIsToldOnceAndItsEndOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var in inbox
		var broken atomic.Bool
		broken.Store(true)
		var log bytes.Buffer
		o := webhookOnly(transport(func(r *http.Request) (*http.Response, error) {
			if broken.Load() {
				return refused(r)
			}
			return in.RoundTrip(r)
		}))
		o.Log = slog.New(slog.NewTextHandler(&log, nil))
		a := start(t, o)
		for i := range 5 {
			a.Send(critical(i))
			time.Sleep(time.Minute)
		}
		broken.Store(false)
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := len(in.at("ops.")); n != 5 {
			t.Errorf("%d arrived in the end, want all 5", n)
		}
		lines := strings.Split(strings.TrimSpace(log.String()), "\n")
		if len(lines) != 2 || !strings.Contains(lines[0], `receiver=webhook error="connection refused"`) || !strings.Contains(lines[1], "delivered again") {
			t.Errorf("the log says %q, want one line when it fails and one when it works", lines)
		}
	})
}

// A message that the receiver does not like must not hold up the others.
func TestOneRefusedMessageHoldsUpNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var in inbox
		a := start(t, webhookOnly(transport(func(r *http.Request) (*http.Response, error) {
			res, err := in.RoundTrip(r)
			if posts := in.at("ops."); posts[len(posts)-1].Title == "critical 0" {
				return answer(r, 400, "invalid_payload"), nil
			}
			return res, err
		})))
		a.Send(critical(0))
		synctest.Wait()
		for i := range 5 {
			a.Send(warning(i))
		}
		time.Sleep(10 * time.Second)
		if s := a.State()[0]; s.Sent != 5 || s.Pending != 1 {
			t.Errorf("state %+v, want the 5 others sent", s)
		}
	})
}

func TestTestAsksEachReceiverNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var in inbox
		a := start(t, both(half(&in)))
		for i := range 200 {
			a.Send(critical(i)) // the limits of the hour are no reason not to test
		}
		synctest.Wait()
		before := len(in.at("ops."))
		got := a.Test(t.Context())
		want := []alert.Result{
			{Receiver: "slack", Address: "hooks.example.com", Err: errors.New("connection refused")},
			{Receiver: "webhook", Address: "ops.example.com"},
		}
		text := cmp.Transformer("text", func(err error) string {
			if err == nil {
				return ""
			}
			return err.Error()
		})
		if diff := cmp.Diff(want, got, text, cmpopts.IgnoreFields(alert.Result{}, "Took")); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
		posts := in.at("ops.")[before:]
		if len(posts) != 1 || posts[0].Kind != "test" {
			t.Errorf("the webhook was sent %+v", posts)
		}
	})
}

func TestTestWaitsNoLongerThanTenSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := start(t, both(dead["never answers"]))
		start := time.Now()
		for _, r := range a.Test(t.Context()) {
			if r.Err == nil || r.Err.Error() != "no answer in time" {
				t.Errorf("%s: %v", r.Receiver, r.Err)
			}
		}
		if took := time.Since(start); took != 10*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

func TestSuccessfulTestSendsWhatWaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var in inbox
		var broken atomic.Bool
		broken.Store(true)
		a := start(t, webhookOnly(transport(func(r *http.Request) (*http.Response, error) {
			if broken.Load() {
				return answer(r, 429, "", "Retry-After", "3600"), nil
			}
			return in.RoundTrip(r)
		})))
		a.Send(critical(1))
		synctest.Wait()
		broken.Store(false)
		a.Test(t.Context())
		synctest.Wait()
		if got := in.titles(); len(got) != 2 {
			t.Errorf("sent %q, want the test and what waited", got)
		}
	})
}

func TestSendFromManyAndCloseTogether(t *testing.T) {
	var in inbox
	o := both(&in)
	o.Dir = t.TempDir()
	a := start(t, o)
	var all sync.WaitGroup
	for i := range 16 {
		all.Go(func() {
			for j := range 200 {
				a.Send(warning(i*1000 + j))
				a.State()
			}
		})
	}
	all.Go(func() { a.Test(t.Context()) })
	all.Wait()
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	a.Send(critical(1)) // too late, but no harm
	if n := len(in.at("ops.")); n != 21 {
		t.Errorf("%d messages, want 20 and the test", n)
	}
}
