package alert_test

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyshield/internal/alert"
)

func fileSize(t *testing.T, dir string) int64 {
	t.Helper()
	info, err := os.Stat(filepath.Join(dir, "alerts.json"))
	if err != nil {
		t.Fatal(err)
	}
	if mode := info.Mode().Perm(); mode != 0o600 {
		t.Errorf("the file's mode is %v: it names users", mode)
	}
	return info.Size()
}

func refused(*http.Request) (*http.Response, error) { return nil, errors.New("connection refused") }

// half is a network in which Slack is down and the webhook up.
func half(in *inbox) transport {
	return func(r *http.Request) (*http.Response, error) {
		if strings.HasPrefix(r.URL.Host, "hooks.") {
			return refused(r)
		}
		return in.RoundTrip(r)
	}
}

func TestUndeliveredAlertsOutliveTheProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var in inbox
		o := both(half(&in))
		o.Dir = t.TempDir()
		a := start(t, o)
		a.Send(alert.LedgerUnwritable())
		a.Send(warning(1))
		time.Sleep(time.Minute)
		before := time.Now()
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(before); took > 7*time.Second {
			t.Errorf("Close took %v with a dead receiver", took)
		}

		alert.Through(&o, &in)
		b := start(t, o)
		b.Send(warning(1)) // told before the restart
		synctest.Wait()
		if got := len(in.at("hooks.")); got != 2 {
			t.Errorf("Slack was told %d, want the 2 that it missed", got)
		}
		if got := len(in.at("ops.")); got != 2 {
			t.Errorf("the webhook was told %d, want the 2 of before and none again", got)
		}
		if s := b.State(); s[0].Pending != 0 || s[1].Pending != 0 {
			t.Errorf("still pending: %+v", s)
		}
		b.Close()

		c := start(t, o)
		synctest.Wait()
		if got := len(in.at("")); got != 4 {
			t.Errorf("%d messages after another restart, want the 4 of before", got)
		}
		c.Close()
	})
}

// A crash leaves the file as it is at some instant.
func TestAfterACrashAnAlertKeepsItsID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var in inbox
		asked := make(chan string, 1)
		o := webhookOnly(transport(func(r *http.Request) (*http.Response, error) {
			select {
			case asked <- r.Header.Get("Keyshield-Event-Id"):
			default:
			}
			<-r.Context().Done() // sent, but never heard of again
			return nil, r.Context().Err()
		}))
		o.Dir = t.TempDir()
		a := start(t, o)
		a.Send(critical(1))
		id := <-asked
		crashed := t.TempDir()
		copyFile(t, filepath.Join(o.Dir, "alerts.json"), filepath.Join(crashed, "alerts.json"))
		a.Close()

		o.Dir = crashed
		alert.Through(&o, &in)
		b := start(t, o)
		synctest.Wait()
		b.Close()
		posts := in.at("ops.")
		if len(posts) != 1 || posts[0].ID != id {
			t.Fatalf("delivered %+v, want one with the id %s, by which the receiver knows it", posts, id)
		}
	})
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	data, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, data, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestDigestsOutliveTheProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var in inbox
		o := webhookOnly(&in)
		o.Dir = t.TempDir()
		a := start(t, o)
		for i := range 50 {
			a.Send(warning(i))
		}
		other := alert.SourceFailed("aws-sm", "timeout")
		a.Send(other)
		synctest.Wait()
		a.Close()
		b := start(t, o)
		if held := b.State()[0].Held; held != 31 {
			t.Errorf("%d held after the restart, want 31", held)
		}
		for i := range 50 {
			b.Send(warning(100 + i))
		}
		time.Sleep(time.Hour + time.Minute)
		b.Close()
		posts := in.at("ops.")
		last := posts[len(posts)-1]
		if last.Title != "61 more alerts" {
			t.Errorf("the last message is %q", last.Title)
		}
		if !strings.Contains(last.Text, "- "+other.Title) {
			t.Errorf("the only one of its kind is not named after the restart:\n%s", last.Text)
		}
	})
}

func TestDamagedFileIsSetAside(t *testing.T) {
	for name, content := range map[string]string{
		"rubbish": "\x00\x00", "cut": `{"version":1,"notices":[`, "of a later version": `{"version":9}`, "empty": "",
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			file := filepath.Join(dir, "alerts.json")
			if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			var log bytes.Buffer
			o := webhookOnly(&inbox{})
			o.Dir, o.Log = dir, slog.New(slog.NewTextHandler(&log, nil))
			a := start(t, o)
			a.Close()
			if got, err := os.ReadFile(file + ".damaged"); err != nil || string(got) != content {
				t.Errorf("set aside: %q, %v", got, err)
			}
			if !strings.Contains(log.String(), "damaged") {
				t.Errorf("nobody was told: %s", &log)
			}
		})
	}
}

// A full disk is what an alert may be about.
func TestAlertsLeaveWithoutADisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var in inbox
		var log bytes.Buffer
		o := webhookOnly(&in)
		o.Dir, o.Log = filepath.Join(t.TempDir(), "gone"), slog.New(slog.NewTextHandler(&log, nil))
		a := start(t, o)
		if err := os.RemoveAll(o.Dir); err != nil {
			t.Fatal(err)
		}
		for i := range 3 {
			a.Send(critical(i))
			time.Sleep(time.Second)
		}
		if diff := cmp.Diff([]string{"critical 0", "critical 1", "critical 2"}, in.titles()); diff != "" {
			t.Errorf("(-want +got)\n%s", diff)
		}
		if err := a.Close(); err == nil {
			t.Error("Close says that all is kept")
		}
		if n := strings.Count(log.String(), "cannot be kept on disk"); n != 1 {
			t.Errorf("logged %d times, want once:\n%s", n, &log)
		}
	})
}

func TestSettingsOfTheLastRunMayHaveChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var in inbox
		var tries atomic.Int64
		o := both(transport(func(r *http.Request) (*http.Response, error) {
			tries.Add(1)
			return refused(r)
		}))
		o.Dir = t.TempDir()
		a := start(t, o)
		a.Send(critical(1))
		synctest.Wait()
		a.Close()

		only := webhookOnly(&in)
		only.Dir = o.Dir
		b := start(t, only)
		synctest.Wait()
		b.Close()
		if tries.Load() == 0 || len(in.at("")) != 1 {
			t.Errorf("%d tries before, %d messages after: want the webhook's alone", tries.Load(), len(in.at("")))
		}
	})
}
