package watch_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"keyshield/internal/watch"
)

// restart ends the watch and begins another on the same file.
func (r *rig) restart() {
	r.t.Helper()
	r.stop()
	r.start()
}

func stateful(t *testing.T) watch.Options {
	o := usually()
	o.Path = filepath.Join(t.TempDir(), "watch.state")
	return o
}

func TestARestartForgetsNothingAndRepeatsNothing(t *testing.T) {
	bubble(t, stateful(t), func(r *rig) {
		r.ordinary(4, "alice", "bob")
		r.restart()
		r.sleep(12 * time.Hour)

		r.ask("alice", 55, time.Second)
		if said := r.said(); !slices.Equal(said, []string{"spike alice requests"}) {
			t.Fatalf("55 requests in a minute instead of 12: %v", said)
		}
		r.restart()
		r.sleep(2 * time.Minute)
		r.ask("alice", 55, time.Second)
		r.quiet("told before the restart")

		for range 150 {
			r.See(seen("bob"))
		}
		var text string
		for _, a := range r.heard() {
			if a.Kind == watch.Disable {
				text = a.Text
			}
		}
		if want := "bob made 126 requests in the last minute; usually it is about 13; disabled for 1h; undo: keyshield enable --user bob"; text != want {
			t.Errorf("got  %q\nwant %q: the past of before the restart", text, want)
		}
	})
}

func TestFrequentRestartsLeaveAPast(t *testing.T) {
	bubble(t, stateful(t), func(r *rig) {
		for range 4 * 12 {
			r.ask("alice", 10, time.Second)
			r.sleep(2*time.Hour - 10*time.Second)
			r.restart()
		}
		r.ask("alice", 32, time.Second/10)
		r.quiet("three times the usual")
		r.ask("alice", 60, time.Second/10)
		if all := r.heard(); len(all) == 0 || !strings.Contains(all[0].Text, "usually it is about 10") {
			t.Errorf("nothing was learned between restarts: %v", all)
		}
	})
}

func TestStateIsWrittenEachMinuteForNobodyElseToRead(t *testing.T) {
	bubble(t, stateful(t), func(r *rig) {
		r.See(seen("alice"))
		r.sleep(time.Minute + time.Second)
		info, err := os.Stat(r.options.Path)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != 0o600 {
			t.Errorf("mode %v, want 0600", info.Mode())
		}
		b, err := os.ReadFile(r.options.Path)
		if err != nil {
			t.Fatal(err)
		}
		if s := seen("alice"); bytes.Contains(b, []byte(s.IP.String())) || bytes.Contains(b, []byte(s.Issuer)) {
			t.Error("an address or an issuer is in the file")
		}
		if err := os.Remove(r.options.Path); err != nil {
			t.Fatal(err)
		}
		r.sleep(5 * time.Minute)
		if _, err := os.Stat(r.options.Path); err == nil {
			t.Error("written although nothing changed")
		}
		if left, _ := filepath.Glob(r.options.Path + "?*"); len(left) > 0 {
			t.Errorf("left beside it: %v", left)
		}
	})
}

func TestDamagedStateIsSetAside(t *testing.T) {
	for name, damage := range map[string]func([]byte) []byte{
		"empty":         func([]byte) []byte { return nil },
		"cut":           func(b []byte) []byte { return b[:len(b)-1] },
		"one bit":       func(b []byte) []byte { b[len(b)/2] ^= 1; return b },
		"a later one":   func(b []byte) []byte { return bytes.Replace(b, []byte("watch 1"), []byte("watch 2"), 1) },
		"far too large": func(b []byte) []byte { return append(b, make([]byte, 24<<20)...) },
	} {
		t.Run(name, func(t *testing.T) {
			o := stateful(t)
			var log bytes.Buffer
			o.Log = slog.New(slog.NewTextHandler(&log, nil))
			bubble(t, o, func(r *rig) {
				r.See(seen("alice"))
				r.stop()
				b, err := os.ReadFile(o.Path)
				if err != nil {
					t.Fatal(err)
				}
				b = damage(b)
				if err := os.WriteFile(o.Path, b, 0o600); err != nil {
					t.Fatal(err)
				}
				r.start()
				kept, err := os.ReadFile(o.Path + ".damaged")
				if err != nil || !bytes.Equal(kept, b) {
					t.Errorf("not set aside as it was: %v", err)
				}
				if n := strings.Count(log.String(), "set aside"); n != 1 {
					t.Errorf("logged %d times, want once: %s", n, &log)
				}
				r.See(seen("alice"))
			})
		})
	}
}

func TestStateThatCannotBeWrittenIsSaidOnce(t *testing.T) {
	o := stateful(t)
	var log bytes.Buffer
	o.Log = slog.New(slog.NewTextHandler(&log, nil))
	o.Path = filepath.Join(filepath.Dir(o.Path), "gone", "watch.state")
	bubble(t, o, func(r *rig) {
		r.ask("alice", 10, time.Minute)
		if err := os.Mkdir(filepath.Dir(o.Path), 0o700); err != nil {
			t.Fatal(err)
		}
		r.ask("alice", 10, time.Minute)
	})
	if broken, works := strings.Count(log.String(), "cannot be written"), strings.Count(log.String(), "written again"); broken != 1 || works != 1 {
		t.Errorf("said %d times that it breaks and %d times that it works, want once each:\n%s", broken, works, &log)
	}
}
