package server

import (
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"keyshield/internal/audit"
	"keyshield/internal/auth"
	"keyshield/internal/ledger"
	"keyshield/internal/limit"
	"keyshield/internal/policy"
	"keyshield/internal/secret"
	"keyshield/internal/watch"
)

// watchtower is a server whose watch disables users in its ledger, within a synctest
// bubble, and what all of them said.
type watchtower struct {
	t      *testing.T
	server *Server
	books  *ledger.Ledger
	dir    string // of the audit log
	log    *audit.Log
	token  string // of ana, whom the watch has known for days

	mu    sync.Mutex
	said  []string // by the watch
	stops int      // that the ledger told of
}

func inWatchtower(t *testing.T, user limit.Rate, test func(*watchtower)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		key, log := secret.New(rand.Text()+rand.Text()), slog.New(slog.DiscardHandler)
		verifier, err := auth.New(t.Context(), auth.Config{Secret: key}, log)
		if err != nil {
			t.Fatal(err)
		}
		w := &watchtower{t: t, dir: filepath.Join(t.TempDir(), audit.Folder)}
		w.books, err = ledger.Open(t.Context(), ledger.Options{Dir: t.TempDir(), Event: w.event})
		if err != nil {
			t.Fatal(err)
		}
		if w.log, err = audit.Open(audit.Options{Dir: w.dir}); err != nil {
			t.Fatal(err)
		}
		eye, err := watch.New(watch.Options{Month: -1, DisableFor: time.Hour, Act: w.act})
		if err != nil {
			t.Fatal(err)
		}
		w.server = New(Config{
			MaxBody: 64 << 10, MaxInFlight: 100, Endpoints: []string{policy.TextEndpoint},
			Text:   policy.TextSettings{Model: "gpt-6-luna", ReasoningEffort: "none"},
			Prices: policy.Reviewed(), Multiplier: policy.Same, Day: policy.NoCap, Month: policy.NoCap,
			Plans: policy.NewPlans(policy.Plan{
				Requests: policy.Rate(user), Streams: 5, Endpoints: []string{"text"}, TextModel: "gpt-6-luna",
				PromptChars: 300, OutputTokens: 150, UserDay: policy.NoCap, UserMonth: policy.NoCap,
			}),
		}, Parts{Verifier: verifier, Ledger: w.books, Detector: secret.NewDetector(key), Audit: w.log, Watch: eye, Log: log})
		t.Cleanup(func() {
			verifier.Close()
			for name, end := range map[string]func() error{"watch": eye.Close, "ledger": w.books.Close, "audit log": w.log.Close} {
				if err := end(); err != nil {
					t.Errorf("the %s ended with %v", name, err)
				}
			}
		})
		for range 5 {
			if w.token, err = auth.Mint(key, auth.Claims{Subject: "ana", TTL: 24 * time.Hour}, time.Now()); err != nil {
				t.Fatal(err)
			}
			ana, err := verifier.Verify(t.Context(), w.token)
			if err != nil {
				t.Fatal(err)
			}
			eye.See(watch.Seen{Key: ana.Pseudonym, ID: ana.ID, IP: netip.MustParseAddr("192.0.2.1"), At: time.Now()})
			time.Sleep(20 * time.Hour)
		}
		test(w)
	})
}

// act does at once what the program does a moment later.
func (w *watchtower) act(a watch.Alarm) {
	w.mu.Lock()
	w.said = append(w.said, fmt.Sprint(a.Kind, " ", a.Signal))
	w.mu.Unlock()
	if a.Kind != watch.Disable {
		return
	}
	stop := ledger.DisableRequest{User: ledger.User{Key: a.Key, Issuer: a.Issuer, ID: a.ID}, For: a.For, By: ledger.ByWatch, Why: a.Text}
	if err := w.books.Disable(w.t.Context(), stop); err != nil {
		w.t.Error(err)
	}
}

func (w *watchtower) event(e ledger.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if e.Kind == ledger.UserDisabled {
		w.stops++
	}
}

// disables are the alarms that disabled somebody.
func (w *watchtower) disables() (all []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, said := range w.said {
		if strings.HasPrefix(said, string(watch.Disable)) {
			all = append(all, said)
		}
	}
	return all
}

// reads is a GET of ana's from an address.
func (w *watchtower) reads(path, address string) int {
	return w.asks(httptest.NewRequest(http.MethodGet, path, nil), address)
}

// writes is a prompt of ana's, from where she usually is.
func (w *watchtower) writes(prompt string) int {
	r := httptest.NewRequest(http.MethodPost, "/api/generate-text", strings.NewReader(`{"userPrompt":"`+prompt+`"}`))
	r.Header.Set("Content-Type", "application/json")
	return w.asks(r, "192.0.2.1")
}

func (w *watchtower) asks(r *http.Request, address string) int {
	r.RemoteAddr = address + ":40000"
	r.Header.Set("Authorization", "Bearer "+w.token)
	got := httptest.NewRecorder()
	w.server.ServeHTTP(got, r)
	return got.Code
}

// An alert a minute was what a disabled user could have by reading on, from here and
// there, and their stop never came to its end.
func TestADisabledUserWhoReadsOnIsDisabledOnce(t *testing.T) {
	inWatchtower(t, limit.Rate{}, func(w *watchtower) {
		began := time.Now()
		for i := range 60 * 30 {
			if got := w.reads("/api/usage/me", fmt.Sprint("198.51.100.", i%60)); got != http.StatusOK {
				t.Fatalf("read %d came to %d", i, got)
			}
			time.Sleep(time.Second)
		}
		if got := w.disables(); !slices.Equal(got, []string{"disable addresses"}) || w.stops != 1 {
			t.Errorf("in half an hour the watch said %q, and the ledger told of %d stops; want one of each", got, w.stops)
		}
		stops, err := w.books.Stops(w.t.Context())
		if err != nil || len(stops) != 1 || stops[0].Until.Sub(began) > time.Hour+time.Minute {
			t.Errorf("stopped until %+v (%v), want an hour from the first alarm", stops, err)
		}
	})
}

func TestNobodyIsDisabledForWhatNeverReachesOpenAI(t *testing.T) {
	inWatchtower(t, limit.Rate{}, func(w *watchtower) {
		for range 600 {
			if got := w.reads("/api/usage/me", "192.0.2.1"); got != http.StatusOK {
				t.Fatalf("a read came to %d", got)
			}
			if got := w.writes(strings.Repeat("x", 301)); got != http.StatusBadRequest {
				t.Fatalf("a prompt that is too long came to %d", got)
			}
			time.Sleep(time.Second / 5)
		}
		if got := w.disables(); got != nil {
			t.Errorf("600 reads and 600 mistakes in two minutes: %q", got)
		}
	})
	inWatchtower(t, limit.Rate{Count: 1, Period: time.Hour}, func(w *watchtower) {
		for range 600 {
			w.writes(strings.Repeat("x", 301))
			time.Sleep(time.Second / 5)
		}
		if got := w.disables(); len(got) != 1 {
			t.Errorf("600 times too often: %q, want one disable", got)
		}
	})
}

// The disk is no bin for whoever holds a valid token: 2,500 reads made a megabyte of
// lines in a second, also for somebody disabled.
func TestWhatCostsNothingFillsNoDisk(t *testing.T) {
	inWatchtower(t, limit.Rate{}, func(w *watchtower) {
		const many = 2_500
		for range many {
			w.reads("/api/usage/me", "192.0.2.1")
			w.writes(strings.Repeat("x", 301))
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		w.wantsCounted(map[string]int64{"ok ": many, "refused prompt_too_long": many}, 2*1_001)
	})
}

// wantsCounted holds the audit log against what was asked, by outcome and code.
func (w *watchtower) wantsCounted(want map[string]int64, most int) {
	w.t.Helper()
	got, lines := map[string]int64{}, 0
	err := audit.Search(w.t.Context(), w.dir, audit.Query{Kind: audit.Request}, func(r audit.Record) error {
		lines++
		got[r.Outcome+" "+r.Code] += max(1, r.Count)
		return nil
	})
	if err != nil || lines > most {
		w.t.Errorf("%d lines (%v), want %d at the most", lines, err, most)
	}
	for how, n := range want {
		if got[how] != n {
			w.t.Errorf("%d of %q are counted, want %d; all: %v", got[how], how, n, got)
		}
	}
}
