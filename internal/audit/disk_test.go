package audit_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyshield/internal/audit"
)

// disk is one whose faults are on demand.
type disk struct {
	write, sync atomic.Pointer[error]
	half        atomic.Bool // a broken write leaves half of what it was given
	stuck       atomic.Bool // and cannot take it back
	hang        chan struct{}
}

type diskFile struct {
	*os.File
	disk *disk
}

func (d *disk) open(path string) (audit.File, error) {
	f, err := audit.OpenFile(path)
	if err != nil {
		return nil, err
	}
	return &diskFile{f.(*os.File), d}, nil
}

func (f *diskFile) Write(b []byte) (int, error) {
	if f.disk.hang != nil {
		<-f.disk.hang
	}
	if err := f.disk.write.Load(); err != nil {
		n := 0
		if f.disk.half.Load() {
			n, _ = f.File.Write(b[:len(b)*2/3])
		}
		return n, *err
	}
	return f.File.Write(b)
}

func (f *diskFile) Sync() error {
	if err := f.disk.sync.Load(); err != nil {
		return *err
	}
	return f.File.Sync()
}

func (f *diskFile) Truncate(size int64) error {
	if f.disk.stuck.Load() {
		return syscall.EIO
	}
	return f.File.Truncate(size)
}

// told collects what Broken was told.
type told struct {
	mu   sync.Mutex
	errs []error
}

func (t *told) tell(err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.errs = append(t.errs, err)
}

// said is "broken" or "works" for each call.
func (t *told) said() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	var words []string
	for _, err := range t.errs {
		if err != nil {
			words = append(words, "broken")
		} else {
			words = append(words, "works")
		}
	}
	return words
}

func wantSaid(t *testing.T, what string, got *told, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, got.said()); diff != "" {
		t.Errorf("%s: told (-want +got):\n%s", what, diff)
	}
}

func TestAFullDiskLosesNothingThatFitsTheQueue(t *testing.T) {
	for _, c := range []struct{ half, stuck bool }{{false, false}, {true, false}, {true, true}} {
		t.Run(fmt.Sprintf("half=%v stuck=%v", c.half, c.stuck), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				dir := t.TempDir()
				var d disk
				var heard told
				l := open(t, audit.Options{Dir: dir, Broken: heard.tell}.OnDisk(d.open))
				full := error(syscall.ENOSPC)
				d.half.Store(c.half)
				d.stuck.Store(c.stuck)
				d.write.Store(&full)
				for i := range 20 {
					began := time.Now()
					l.Request(&audit.Record{ID: fmt.Sprint(i)}, true)
					if took := time.Since(began); took > 250*time.Millisecond {
						t.Errorf("a request waited %v for a broken disk", took)
					}
					l.Drain()
				}
				time.Sleep(5 * time.Second)
				if err := l.Healthy(); !errors.Is(err, syscall.ENOSPC) {
					t.Errorf("healthy: %v", err)
				}
				wantSaid(t, "while it is full", &heard, "broken")
				d.write.Store(nil)
				d.stuck.Store(false)
				time.Sleep(2 * time.Second)
				synctest.Wait()
				if err := l.Healthy(); err != nil {
					t.Errorf("still broken: %v", err)
				}
				wantSaid(t, "afterwards", &heard, "broken", "works")
				shut(t, l)
				if got := ids(t, dir); len(got) != 20 {
					t.Errorf("%d of 20 records are there", len(got))
				}
				lost := search(t, dir, audit.Query{Kind: audit.Lost})
				if len(lost) != 1 || lost[0].Count != 0 || !strings.Contains(lost[0].Why, "no space left") {
					t.Errorf("what the log says of it: %+v", lost)
				}
				sound(t, dir)
			})
		})
	}
}

func TestWhatDoesNotFitTheQueueIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		var d disk
		var heard told
		l := open(t, audit.Options{Dir: dir, Broken: heard.tell}.OnDisk(d.open).WithRoom(10))
		full := error(syscall.ENOSPC)
		d.write.Store(&full)
		for i := range 25 {
			l.Request(&audit.Record{ID: fmt.Sprint(i)}, false)
		}
		d.write.Store(nil)
		time.Sleep(2 * time.Second)
		shut(t, l)
		if got := ids(t, dir); len(got) != 10 {
			t.Errorf("%d records, want the 10 that fitted", len(got))
		}
		lost := search(t, dir, audit.Query{Kind: audit.Lost})
		if len(lost) != 1 || lost[0].Count != 15 {
			t.Errorf("lost: %+v, want 15", lost)
		}
		wantSaid(t, "in the end", &heard, "broken", "works")
		sound(t, dir)
	})
}

func TestASyncThatFailsIsTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		var d disk
		var heard told
		l := open(t, audit.Options{Dir: dir, Broken: heard.tell}.OnDisk(d.open))
		broken := error(syscall.EIO)
		d.sync.Store(&broken)
		l.Request(&audit.Record{ID: "1"}, true)
		time.Sleep(10 * time.Second)
		wantSaid(t, "while it fails", &heard, "broken")
		if err := l.Healthy(); !errors.Is(err, syscall.EIO) {
			t.Errorf("healthy: %v", err)
		}
		d.sync.Store(nil)
		time.Sleep(2 * time.Second)
		wantSaid(t, "afterwards", &heard, "broken", "works")
		shut(t, l)
		sound(t, dir)
	})
}

func TestADiskThatHangsHoldsNobodyUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		d := disk{}
		var heard told
		l := open(t, audit.Options{Dir: dir, Broken: heard.tell}.OnDisk(d.open))
		d.hang = make(chan struct{})
		for range 40 {
			began := time.Now()
			l.Request(&audit.Record{}, true)
			if took := time.Since(began); took > 250*time.Millisecond {
				t.Fatalf("a request waited %v", took)
			}
		}
		wantSaid(t, "after ten seconds", &heard, "broken")
		close(d.hang)
		time.Sleep(2 * time.Second)
		wantSaid(t, "afterwards", &heard, "broken", "works")
		shut(t, l)
		if n := len(search(t, dir, audit.Query{Kind: audit.Request})); n != 40 {
			t.Errorf("%d of 40 records are there", n)
		}
		sound(t, dir)
	})
}

func TestAFileThatIsTamperedWithUnderUsIsNoticed(t *testing.T) {
	for _, c := range []struct {
		name    string
		do      func(dir, path string) error
		says    string
		verdict audit.Wrong
	}{
		{"removed", func(_, path string) error { return os.Remove(path) }, "removed", audit.Missing},
		{"the folder removed", func(dir, _ string) error { return os.RemoveAll(dir) }, "removed", audit.Missing},
		{"replaced", func(_, path string) error {
			text, err := os.ReadFile(path)
			return errors.Join(err, os.Rename(path, path+".old"), os.WriteFile(path, text, 0o600))
		}, "replaced", ""},
		{"emptied", func(_, path string) error { return os.Truncate(path, 0) }, "changed", audit.Missing},
		{"written to", func(_, path string) error {
			f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			_, err = f.WriteString("{\"seq\":2}\n")
			return errors.Join(err, f.Close())
		}, "changed", audit.Damaged},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "audit")
			var heard told
			l := open(t, audit.Options{Dir: dir, Broken: heard.tell, Now: aroundNoon})
			if err := c.do(dir, theFile(t, dir)); err != nil {
				t.Fatal(err)
			}
			l.Request(&audit.Record{ID: "after"}, true)
			if len(whatIsReadable(dir, audit.Query{ID: "after"})) != 1 {
				t.Error("the record that was waited for did not find its way into the new file at once")
			}
			shut(t, l)
			wantSaid(t, "in the end", &heard, "broken", "works")
			if err := heard.errs[0]; !strings.Contains(err.Error(), c.says) {
				t.Errorf("told %v", err)
			}
			if lost := whatIsReadable(dir, audit.Query{Kind: audit.Lost}); len(lost) != 1 || !strings.Contains(lost[0].Why, c.says) {
				t.Errorf("the log says %+v", lost)
			}
			f := verify(t, dir).Fault
			if (f == nil) != (c.verdict == "") || f != nil && f.Wrong != c.verdict {
				t.Errorf("verified as %v, want %q", f, c.verdict)
			}
		})
	}
}

// whatIsReadable is what q finds beside lines that cannot be read.
func whatIsReadable(dir string, q audit.Query) (found []audit.Record) {
	var unread *audit.Unreadable
	err := audit.Search(context.Background(), dir, q, func(r audit.Record) error {
		found = append(found, r)
		return nil
	})
	if err != nil && !errors.As(err, &unread) {
		panic(err)
	}
	return found
}

func TestTheEndThatAnEarlierProcessLeft(t *testing.T) {
	for _, c := range []struct {
		name    string
		damage  func(t *testing.T, dir, path string)
		says    string      // in the next start's line
		verdict audit.Wrong // after that start
	}{
		{"half a line", func(t *testing.T, _, path string) {
			put(t, path, append(content(t, path), `{"seq":9,"time`...))
		}, "half-written (14 bytes)", ""},
		{"the last byte is gone", func(t *testing.T, _, path string) {
			text := content(t, path)
			put(t, path, text[:len(text)-1])
		}, "half-written", audit.Missing},
		{"the last line is gone", func(t *testing.T, _, path string) {
			all := linesOf(content(t, path))
			put(t, path, []byte(strings.Join(strs(all[:len(all)-1]), "")))
		}, "lines were cut off: the last one is 4, head names 5", audit.Missing},
		{"all is gone", func(t *testing.T, _, path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}, "lines were cut off: the last one is 0, head names 5", audit.Missing},
		{"head is gone", func(t *testing.T, dir, _ string) {
			if err := os.Remove(filepath.Join(dir, "head")); err != nil {
				t.Fatal(err)
			}
		}, "head is missing", ""},
		{"a last line that is no line", func(t *testing.T, _, path string) {
			put(t, path, append(content(t, path), "\x00\x00\x00\n"...))
		}, "1 lines that are damaged", audit.Damaged},
		{"much that is no line", func(t *testing.T, _, path string) {
			put(t, path, append(content(t, path), make([]byte, 300_000)...))
		}, "1 lines that are damaged", audit.Damaged},
		{"the last line sealed again", func(t *testing.T, _, path string) {
			all := linesOf(content(t, path))
			all[len(all)-1] = append(reseal(t, []byte(strings.Replace(string(all[len(all)-1]), "stop", "Stop", 1))), '\n')
			put(t, path, []byte(strings.Join(strs(all), "")))
		}, "line 5 is not the one that head names", audit.Changed},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := written(t, 3)
			c.damage(t, dir, theFile(t, dir))
			l := open(t, audit.Options{Dir: dir})
			starts := whatIsReadable(dir, audit.Query{Kind: audit.Start, Limit: 1})
			if len(starts) != 1 || !strings.Contains(starts[0].Why, c.says) {
				t.Errorf("the start says %+v, want %q", starts, c.says)
			}
			shut(t, l)
			f := verify(t, dir).Fault
			if (f == nil) != (c.verdict == "") || f != nil && f.Wrong != c.verdict {
				t.Errorf("verified as %v, want %q", f, c.verdict)
			}
		})
	}
}

func strs(lines [][]byte) (out []string) {
	for _, line := range lines {
		out = append(out, string(line))
	}
	return out
}
