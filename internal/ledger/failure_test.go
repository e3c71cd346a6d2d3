package ledger_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/bbolt"

	"keyshield/internal/ledger"
	"keyshield/internal/money"
)

var errDisk = errors.New("the disk is broken")

// disk is a commit that can be broken.
type disk struct {
	mode  atomic.Int32
	delay atomic.Int64
}

const (
	works      int32 = iota
	loses            // fails, and nothing is written
	lies             // fails, and everything is written
	panicsOnce       // as the file's code does on a damaged page
)

func (d *disk) commit(tx *bbolt.Tx) error {
	time.Sleep(time.Duration(d.delay.Load())) // in a bubble
	switch d.mode.Load() {
	case loses:
		return errDisk
	case lies:
		return errors.Join(tx.Commit(), errDisk)
	case panicsOnce:
		d.mode.Store(works)
		panic("page 7: unexpected type")
	}
	return tx.Commit()
}

// unsynced does not wait for a disk that works.
func (d *disk) unsynced(tx *bbolt.Tx) error {
	tx.DB().NoSync, tx.DB().NoGrowSync = true, true
	return d.commit(tx)
}

func used(t testing.TB, l *ledger.Ledger, u ledger.User) money.USD {
	t.Helper()
	s := must(t, of(l.Standing(context.Background(), u)))
	return s.Day.Used
}

func TestNothingIsReservedWhileTheDiskFails(t *testing.T) {
	for name, mode := range map[string]int32{"nothing written": loses, "written all the same": lies} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var d disk
				l := openStrict(t, ledger.Options{Dir: t.TempDir()}.WithCommit(d.commit))
				first := reserve(t, l, "first", 100)
				second, third := reserve(t, l, "second", 100), reserve(t, l, "to be freed", 100)
				d.mode.Store(mode)
				_ = first.Settle(ledger.Usage{Cost: 30}) // waits for the reserve, and fails with it
				_, err := l.Reserve(t.Context(), request("third", user(1), 100))
				if code(t, err) != "unavailable" || !errors.Is(err, errDisk) {
					t.Fatalf("while the disk fails: %v", err)
				}
				if err := l.Healthy(); err == nil {
					t.Error("healthy though nothing can be written")
				}
				third.Free()
				for range 5 {
					time.Sleep(ledger.Retry)
					if _, err := l.Reserve(t.Context(), request("fourth", user(1), 100)); code(t, err) != "unavailable" {
						t.Fatalf("still broken: %v", err)
					}
				}
				d.mode.Store(works)
				time.Sleep(2 * ledger.Retry)
				if err := l.Healthy(); err != nil {
					t.Fatalf("the disk is well again, the ledger is not: %v", err)
				}
				if got := used(t, l, user(1)); got != 130 {
					t.Errorf("used %d, want 30 settled and 100 open: refused requests leave no trace", got)
				}
				second.Free()
				flush(t, l)
				if got := used(t, l, user(1)); got != 30 {
					t.Errorf("used %d in the end, want 30", got)
				}
			})
		})
	}
}

func TestAPanicOfTheFileRefusesAndIsSurvived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d disk
		l := openStrict(t, ledger.Options{Dir: t.TempDir()}.WithCommit(d.commit))
		d.mode.Store(panicsOnce)
		_, err := l.Reserve(t.Context(), request("a", user(1), 100))
		if code(t, err) != "unavailable" || !strings.Contains(err.Error(), "damaged") {
			t.Fatalf("got %v", err)
		}
		time.Sleep(2 * ledger.Retry)
		reserve(t, l, "b", 100).Free()
	})
}

func TestASlowDiskRefusesAndChargesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d disk
		l := openStrict(t, ledger.Options{Dir: t.TempDir()}.WithCommit(d.commit))
		d.delay.Store(int64(2 * ledger.Patience))
		start := time.Now()
		go func() {
			time.Sleep(ledger.Patience / 2)
			_, _ = l.Reserve(t.Context(), request("behind", user(1), 100)) // given up before it is decided
		}()
		_, err := l.Reserve(t.Context(), request("slow", user(1), 100))
		if code(t, err) != "unavailable" || time.Since(start) != ledger.Patience {
			t.Fatalf("after %v: %v", time.Since(start), err)
		}
		d.delay.Store(0)
		time.Sleep(4 * ledger.Patience)
		if got := used(t, l, user(1)); got != 0 {
			t.Errorf("%d stay charged for requests that were refused", got)
		}
	})
}

func TestAClientThatLeavesIsNotCharged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var d disk
		l := openStrict(t, ledger.Options{Dir: t.TempDir()}.WithCommit(d.commit))
		d.delay.Store(int64(ledger.Patience / 2))
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := l.Reserve(ctx, request("a", user(1), 100)); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("got %v", err)
		}
		time.Sleep(time.Second)
		if got := used(t, l, user(1)); got != 0 {
			t.Errorf("%d stay charged", got)
		}
	})
}

func TestAReservationIsReleasedIfNotUsedInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := open(t, ledger.Options{Dir: t.TempDir()})
		stuck, sent := reserve(t, l, "stuck", 100), reserve(t, l, "sent", 10)
		reserve(t, l, "forgotten", 1000)
		time.Sleep(ledger.UseWithin - 1)
		if err := sent.Use(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Nanosecond)
		if err := stuck.Use(); code(t, err) != "unavailable" {
			t.Errorf("used after its time: %v", err)
		}
		_ = stuck.Settle(ledger.Usage{Cost: 70})
		time.Sleep(time.Second)
		if got := used(t, l, user(1)); got != 10 {
			t.Errorf("used %d, want only what was sent", got)
		}
		time.Sleep(24 * time.Hour)
		if got := used(t, l, user(1)); got != 0 { // the day is over
			t.Errorf("used %d", got)
		}
		s := must(t, of(l.Standing(t.Context(), user(1))))
		if s.Month.Used != 10 || s.Month.Open != 10 {
			t.Errorf("the month: %+v, want the call that was sent, for ever", s.Month)
		}
	})
}

func TestARemovedLedgerIsNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		path := filepath.Join(dir, ledger.FileName)
		l := open(t, ledger.Options{Dir: dir})
		reserve(t, l, "a", 100)
		if err := os.Rename(path, path+".away"); err != nil {
			t.Fatal(err)
		}
		refused := func(id string) {
			t.Helper()
			_, err := l.Reserve(t.Context(), request(id, user(1), 100))
			if code(t, err) != "unavailable" || !strings.Contains(err.Error(), "removed or replaced") {
				t.Fatalf("got %v", err)
			}
		}
		refused("b")
		time.Sleep(3 * ledger.Retry)
		refused("c")
		if _, err := os.Stat(path); err == nil {
			t.Error("a ledger that vanished was begun anew")
		}
		if err := os.WriteFile(path, must(t, of(os.ReadFile(path+".away"))), 0o600); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * ledger.Retry)
		refused("d") // another file, which may say less
		if err := os.Rename(path+".away", path); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * ledger.Retry)
		if got := used(t, l, user(1)); got != 200 && got != 100 {
			t.Errorf("used %d after the file came back", got)
		}
		flush(t, l)
		if got := used(t, l, user(1)); got != 100 {
			t.Errorf("used %d in the end, want 100", got)
		}
	})
}

func TestClosedRefusesAndKeepsWhatIsOpen(t *testing.T) {
	dir := t.TempDir()
	l := open(t, ledger.Options{Dir: dir})
	unused, sent := reserve(t, l, "unused", 100), reserve(t, l, "sent", 10)
	if err := sent.Use(); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := unused.Use(); code(t, err) != "unavailable" {
		t.Errorf("used after the ledger was closed: %v", err)
	}
	_ = sent.Settle(ledger.Usage{Cost: 1}) // too late, and harmless
	if _, err := l.Reserve(t.Context(), request("late", user(1), 1)); code(t, err) != "unavailable" {
		t.Errorf("reserved in a closed ledger: %v", err)
	}
	if got := used(t, open(t, ledger.Options{Dir: dir}), user(1)); got != 10 {
		t.Errorf("used %d, want what was sent", got)
	}
}

func TestRequestsThatWeCannotHaveMeantAreBugs(t *testing.T) {
	l := open(t, ledger.Options{Dir: t.TempDir()})
	reserve(t, l, "same", 1)
	for name, r := range map[string]ledger.Request{
		"no id": request("", user(1), 1), "no user": request("a", ledger.User{}, 1), "negative": request("b", user(1), -1),
		"too much": request("c", user(1), money.Max+1), "twice": request("same", user(1), 1),
		"long": request(strings.Repeat("x", 257), user(1), 1),
	} {
		if _, err := l.Reserve(t.Context(), r); err == nil {
			t.Errorf("%s was reserved", name)
		}
	}
	if got := used(t, l, user(1)); got != 1 {
		t.Errorf("used %d, want 1", got)
	}
}
