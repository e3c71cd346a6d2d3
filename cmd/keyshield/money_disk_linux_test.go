package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// starve limits how large a file the running program may write. Zero: none at all.
func (m *machine) starve(size uint64) {
	m.t.Helper()
	var limit unix.Rlimit
	if err := unix.Prlimit(m.running.Process.Pid, unix.RLIMIT_FSIZE, nil, &limit); err != nil {
		m.t.Fatal(err)
	}
	limit.Cur = min(size, limit.Max)
	if err := unix.Prlimit(m.running.Process.Pid, unix.RLIMIT_FSIZE, &limit, nil); err != nil {
		m.t.Fatal(err)
	}
}

// TestNothingIsAskedWhileTheLedgerCannotBeWritten, and service resumes with the disk.
func TestNothingIsAskedWhileTheLedgerCannotBeWritten(t *testing.T) {
	m := newMachine(t, t.TempDir())
	m.boot()
	tokens := m.tokens(8)
	q := question{"[[sim harsh]] hello", wholeAnswer}
	for _, size := range []uint64{0, 3 * uint64(os.Getpagesize())} { // not a byte; the first pages only
		t.Run(fmt.Sprint(size, " bytes"), func(t *testing.T) {
			m := &machine{purse: m.purse, running: m.running}
			m.t = t
			if v := m.send(t.Context(), tokens[0], q, 0); v.said != "200" {
				t.Fatalf("before: %q", v.said)
			}
			m.rested()
			m.starve(size)
			m.untouched(func() {
				inTurn(200, 16, func(i int64) {
					if v := m.sendOnce(t.Context(), tokens[i%8], q, 0); v.said != "503 unavailable" || v.after == "" {
						t.Errorf("got %+v", v)
					}
				})
				if got := m.get("/readyz"); got.status != 503 {
					t.Errorf("readyz: %d", got.status)
				}
				if got := m.get("/livez"); got.status != 200 {
					t.Errorf("livez: %d", got.status)
				}
			})
			m.starve(unix.RLIM_INFINITY)
			lifted := time.Now()
			if !eventually(t, 5*time.Second, func() bool { return m.get("/readyz").status == 200 }) {
				t.Fatal("not ready again")
			}
			t.Logf("ready again after %v", time.Since(lifted))
			if v := m.send(t.Context(), tokens[0], q, 0); v.said != "200" {
				t.Errorf("afterwards: %q", v.said)
			}
			if books, bill := m.rested(), m.bill(); books.Day.Used != bill {
				t.Errorf("used %v, billed %v", books.Day.Used, bill)
			}
		})
	}
}

// TestNothingIsAskedOnceTheLedgerIsGone: DATA_DIR was removed under the server.
func TestNothingIsAskedOnceTheLedgerIsGone(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	p := openPurseIn(t, data)
	q := question{"hello", wholeAnswer}
	token := p.token("ana")
	if v := p.send(t.Context(), token, q, 0); v.said != "200" {
		t.Fatalf("before: %q", v.said)
	}
	p.rested()
	if err := os.RemoveAll(data); err != nil {
		t.Fatal(err)
	}
	p.untouched(func() {
		inTurn(50, 8, func(int64) {
			if v := p.sendOnce(t.Context(), token, q, 0); v.said != "503 unavailable" {
				t.Errorf("got %q", v.said)
			}
		})
		if got := p.get("/readyz"); got.status != 503 {
			t.Errorf("readyz: %d", got.status)
		}
	})
	if !strings.Contains(p.log.String(), "removed or replaced") {
		t.Error("the log does not say why")
	}
}

// mounted mounts something at a fresh folder, if this user may.
func mounted(t *testing.T, what, kind string, flags uintptr, options string) string {
	t.Helper()
	at := t.TempDir()
	if err := unix.Mount(what, at, kind, flags, options); err != nil {
		if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
			t.Skipf("this user may not mount: %v", err)
		}
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(at, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return at
}

// TestAFullDisk: each call was written down before it left, so on a real disk that
// fills up there are as many calls as answers, until there is space again.
func TestAFullDisk(t *testing.T) {
	disk := mounted(t, "tmpfs", "tmpfs", 0, "size=2m")
	p := openPurseIn(t, filepath.Join(disk, "data"))
	q := question{"hello", wholeAnswer}
	filler := filepath.Join(disk, "filler")
	if p.send(t.Context(), p.token("ana"), q, 0).said != "200" {
		t.Fatal("nothing works before")
	}
	if err := fill(filler); !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("the disk is not full: %v", err)
	}
	answers, refusals := int64(1), 0
	for i := 0; i < 20_000 && refusals < 20; i++ {
		switch v := p.sendOnce(t.Context(), p.token(fmt.Sprint("user-", i)), q, 0); v.said {
		case "200":
			answers++
		case "503 unavailable":
			refusals++
		default:
			t.Fatalf("got %q", v.said)
		}
	}
	if calls := p.asked(); calls != answers {
		t.Errorf("%d calls reached OpenAI for %d answers", calls, answers)
	}
	if refusals == 0 {
		t.Error("a full disk refused nobody")
	}
	t.Logf("%d answers until %d refusals", answers, refusals)
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	if !eventually(t, 5*time.Second, func() bool { return p.send(t.Context(), p.token("ana"), q, 0).said == "200" }) {
		t.Error("there is space, and no service")
	}
	if books, bill := p.rested(), p.bill(); books.Day.Used != bill {
		t.Errorf("used %v, billed %v", books.Day.Used, bill)
	}
}

// fill writes until the disk is full.
func fill(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	for page := make([]byte, 4096); ; {
		if _, err := f.Write(page); err != nil {
			return err
		}
	}
}

// TestAMountedVolumeKeepsTheSpendOverARedeploy on a platform that throws the
// container's own disk away.
func TestAMountedVolumeKeepsTheSpendOverARedeploy(t *testing.T) {
	volume := mounted(t, t.TempDir(), "", unix.MS_BIND, "")
	on := []string{"RENDER=1", "TRUSTED_PROXY=none"}
	q := question{"[[sim harsh usage=missing]] hello", wholeAnswer}
	before := openPurseIn(t, volume, on...)
	if v := before.send(t.Context(), before.token("ana"), q, 0); v.said != "200" {
		t.Fatalf("got %q", v.said)
	}
	spent := before.rested()
	if code := before.stop(); code != exitOK {
		t.Fatalf("stopped with %d", code)
	}
	after := openPurseIn(t, volume, on...)
	if got := after.books(); got.Month.Used != spent.Month.Used || got.Month.Used == 0 {
		t.Errorf("after the redeploy %v of the month are used; want %v", got.Month.Used, spent.Month.Used)
	}
}
