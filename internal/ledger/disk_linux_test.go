package ledger_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"keyshield/internal/ledger"
	"keyshield/internal/ledger/ledgertest"
)

// descriptor finds the open file at path.
func descriptor(t *testing.T, path string) int {
	t.Helper()
	for _, e := range must(t, of(os.ReadDir("/proc/self/fd"))) {
		if to, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && to == path {
			return must(t, of(strconv.Atoi(e.Name())))
		}
	}
	t.Fatalf("%s is not open", path)
	return 0
}

// TestRealErrorsOfTheFile puts devices in the place of the open file: /dev/full
// has no space for a write, /dev/null takes writes and cannot sync.
func TestRealErrorsOfTheFile(t *testing.T) {
	for _, device := range []string{"/dev/full", "/dev/null"} {
		t.Run(filepath.Base(device), func(t *testing.T) {
			dir := must(t, of(filepath.EvalSymlinks(t.TempDir())))
			writable := make(chan struct{}, 1)
			l := openStrict(t, ledger.Options{Dir: dir, Event: func(e ledger.Event) {
				if e.Kind == ledger.Writable {
					writable <- struct{}{}
				}
			}})
			reserve(t, l, "before", 100)
			broken := must(t, of(os.OpenFile(device, os.O_RDWR, 0)))
			defer broken.Close()
			if err := unix.Dup3(int(broken.Fd()), descriptor(t, filepath.Join(dir, ledger.FileName)), unix.O_CLOEXEC); err != nil {
				t.Fatal(err)
			}
			if _, err := l.Reserve(t.Context(), request("during", user(1), 100)); code(t, err) != "unavailable" {
				t.Fatalf("got %v", err)
			}
			<-writable // the path still leads to a file that works
			if got := used(t, l, user(1)); got != 100 {
				t.Errorf("used %d, want 100", got)
			}
			reserve(t, l, "after", 100)
		})
	}
}

// TestATornWriteIsTheStateBefore leaves of a commit what a power cut may leave:
// some of its pages, and the first of its bytes in the page that would have made
// it valid.
func TestATornWriteIsTheStateBefore(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, ledger.FileName)
	l := openStrict(t, ledger.Options{Dir: dir})
	page := os.Getpagesize()
	random := rand.New(rand.NewPCG(1, 2))
	before := must(t, of(os.ReadFile(path)))
	for i := range 40 {
		call(t, l, fmt.Sprint(i), user(i%3), 10)
		after := must(t, of(os.ReadFile(path)))
		torn := bytes.Clone(after)
		for at := 0; at < len(before); at += page {
			end := min(at+page, len(before))
			switch meta := at < 2*page; {
			case bytes.Equal(before[at:end], after[at:end]):
			case meta:
				copy(torn[at+16+random.IntN(60):end], before[at+16:end]) // shifted: no valid checksum
			case random.IntN(2) == 0:
				copy(torn[at:end], before[at:end])
			}
		}
		copied := t.TempDir()
		if err := os.WriteFile(filepath.Join(copied, ledger.FileName), torn, 0o600); err != nil {
			t.Fatal(err)
		}
		restarted := open(t, ledger.Options{Dir: copied})
		if got := used(t, restarted, user(1)); int(got) != i*10 {
			t.Fatalf("after a torn commit of call %d: used %d, want %d", i+1, got, i*10)
		}
		reserve(t, restarted, "goes on", 10)
		if err := restarted.Close(); err != nil {
			t.Fatal(err)
		}
		before = after
	}
}

func TestAHundredThousandOpenHoldsDoNotDelayTheStart(t *testing.T) {
	clock := ledgertest.NewClock(time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC))
	opts := ledger.Options{Dir: t.TempDir(), Clock: clock.Read, Orphan: func(ledger.Orphan) {}}.Relaxed()
	l := must(t, of(ledger.Open(t.Context(), opts)))
	const holds, workers = 100_000, 500
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range holds / workers {
				h, err := l.Reserve(t.Context(), request(fmt.Sprint(w, "-", i), user(w), 10))
				if err != nil {
					t.Error(err)
					return
				}
				if err := h.Use(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}

	start := time.Now()
	l = open(t, opts)
	took := time.Since(start)
	if took > time.Second {
		t.Errorf("start-up took %v", took)
	}
	s := must(t, of(l.Standing(t.Context(), user(1))))
	if s.Day.Used != holds*10 || s.Day.AtCeiling != holds*10 || s.Day.Open != 0 {
		t.Errorf("after the start: %+v", s.Day)
	}
	clock.Pass(24 * time.Hour)
	r := request("next day", user(1), 10)
	r.Caps.Day = ledger.UpTo(10)
	if _, err := l.Reserve(t.Context(), r); err != nil {
		t.Errorf("phantom holds in the next window: %v", err)
	}
	t.Logf("opened in %v", took)
}

func TestNetworkFileSystemsAreRefused(t *testing.T) {
	for magic, want := range map[uint32]string{
		0x6969: "NFS", 0x517b: "SMB", 0xfe534d42: "SMB", 0xff534d42: "SMB", 0x65735546: "FUSE", 0x01021997: "9p",
		0xef53: "", 0x58465342: "", 0x9123683e: "", 0x01021994: "", 0x794c7630: "", // ext4, XFS, Btrfs, tmpfs, overlay
	} {
		if got := ledger.NetworkName(magic); got != want {
			t.Errorf("%#x is taken for %q, want %q", magic, got, want)
		}
	}
}
