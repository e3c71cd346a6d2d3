package ledger_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"keyshield/internal/ledger"
	"keyshield/internal/money"
)

// childEnv makes this test binary a server that is killed, or starved.
const childEnv = "KEYSHIELD_LEDGER_CHILD"

func TestMain(m *testing.M) {
	if role, dir, ok := strings.Cut(os.Getenv(childEnv), ":"); ok {
		run := map[string]func(string) error{"load": childLoad, "full": childFull, "switch": childSwitch}[role]
		if err := run(dir); err != nil {
			fmt.Println("failed", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func child(t *testing.T, role, dir string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+role+":"+dir)
	cmd.Stderr = os.Stderr
	return cmd
}

const (
	childCeiling = 1000
	childCap     = 40_000_000
)

// childLoad reserves and settles with all its might, and says on its standard
// output what it was promised: "r" and an id once a reservation was acknowledged,
// "s", the id and the cost before it is settled.
func childLoad(dir string) error {
	l, err := ledger.Open(context.Background(), ledger.Options{Dir: dir})
	if err != nil {
		return err
	}
	if _, err := fmt.Println("ready"); err != nil {
		return err
	}
	var wg sync.WaitGroup
	for worker := range 32 {
		wg.Go(func() {
			for i := 0; ; i++ {
				r := request(fmt.Sprintf("%d-%d-%d", os.Getpid(), worker, i), user(worker%5), childCeiling)
				r.Caps.Day = ledger.UpTo(childCap)
				h, err := l.Reserve(context.Background(), r)
				if err != nil {
					continue // the budget or the disk; the parent counts what was granted
				}
				fmt.Println("r", r.ID)
				if h.Use() == nil && i%4 != 0 {
					fmt.Println("s", r.ID, i%childCeiling)
					_ = h.Settle(ledger.Usage{Cost: money.USD(i % childCeiling)})
				}
			}
		})
	}
	wg.Wait()
	return nil
}

func TestNothingAcknowledgedIsLostToKill9(t *testing.T) {
	kills, _ := strconv.Atoi(os.Getenv("KEYSHIELD_SOAK"))
	kills = max(kills, 10)
	dir := t.TempDir()
	day := time.Now().UTC().Format(time.DateOnly)
	fastest := time.Hour
	seen := 0
	owed := map[string]money.USD{} // the least that each acknowledged call must be charged
	for kill := range kills {
		lines := runAndKill(t, "load", dir, time.Duration(20+kill*37%150)*time.Millisecond)
		for _, line := range lines {
			word := strings.Fields(line)
			switch {
			case len(word) == 2 && word[0] == "r":
				owed[word[1]] = childCeiling
				seen++
			case len(word) == 3 && word[0] == "s":
				cost, _ := strconv.Atoi(word[2])
				owed[word[1]] = money.USD(cost)
			}
		}
		start := time.Now()
		l := must(t, of(ledger.Open(t.Context(), ledger.Options{Dir: dir})))
		opened := time.Since(start)
		s := must(t, of(l.Standing(t.Context(), user(1))))
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if today := s.Day.Window.String(); today != day { // and what was charged yesterday is not in today's sum
			day = today
			clear(owed)
		}
		var least money.USD
		for _, charge := range owed {
			least += charge
		}
		if s.Day.Used < least || s.Day.Used > childCap {
			t.Fatalf("after kill %d: used %d, want at least the %d of %d acknowledged calls and at most %d", kill+1, s.Day.Used, least, len(owed), childCap)
		}
		fastest = min(fastest, opened) // the disk may be busy with other tests
	}
	if fastest > time.Second {
		t.Errorf("no start-up took less than %v", fastest)
	}
	if seen < kills*10 {
		t.Errorf("only %d calls in %d runs: this shows nothing", seen, kills)
	}
	t.Logf("%d kills, %d acknowledged calls", kills, len(owed))
}

// runAndKill lets a child work for a while and returns its complete lines.
func runAndKill(t *testing.T, role, dir string, life time.Duration) (lines []string) {
	t.Helper()
	cmd := child(t, role, dir)
	out := must(t, of(cmd.StdoutPipe()))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var killer *time.Timer
	in := bufio.NewReader(out)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			break // also a line that was cut by the kill
		}
		if killer == nil {
			if line != "ready\n" {
				t.Fatalf("the child said %q", line)
			}
			killer = time.AfterFunc(life, func() { _ = cmd.Process.Kill() })
		}
		lines = append(lines, line)
	}
	_ = cmd.Wait()
	if killer == nil {
		t.Fatal("the child never came up")
	}
	return lines
}

// childSwitch disables everybody, and lets every third in again. It says "d" or "e"
// and the user once that was acknowledged, and "t" before it tries the second.
func childSwitch(dir string) error {
	l, err := ledger.Open(context.Background(), ledger.Options{Dir: dir})
	if err != nil {
		return err
	}
	fmt.Println("ready")
	for i := 0; ; i++ {
		key := fmt.Sprint(os.Getpid(), "-", i)
		if err := l.Disable(context.Background(), ledger.DisableRequest{User: ledger.User{Key: key}, By: "cli"}); err != nil {
			continue // the disk; who is not told may be stopped or not
		}
		fmt.Println("d", key)
		if i%3 != 0 {
			continue
		}
		fmt.Println("t", key)
		if was, err := l.Enable(context.Background(), ledger.EnableRequest{User: key, By: "cli"}); err == nil && was {
			fmt.Println("e", key)
		}
	}
}

func TestASwitchThatWasTurnedOutlivesKill9(t *testing.T) {
	dir := t.TempDir()
	said := map[string]string{}
	for kill := range 5 {
		for _, line := range runAndKill(t, "switch", dir, time.Duration(30+kill*40)*time.Millisecond) {
			if word := strings.Fields(line); len(word) == 2 {
				said[word[1]] = word[0]
			}
		}
		l := must(t, of(ledger.Open(t.Context(), ledger.Options{Dir: dir})))
		for user, word := range said {
			stopped := l.Stopped(user) != nil
			if word == "d" && !stopped || word == "e" && stopped {
				t.Errorf("%s was told %q, and after a kill is stopped: %v", user, word, stopped)
			}
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if len(said) < 5 {
		t.Errorf("only %d switches were turned: this shows nothing", len(said))
	}
}

// childFull meets a limit of its file's size, and then does not.
func childFull(dir string) error {
	l, err := ledger.Open(context.Background(), ledger.Options{Dir: dir})
	if err != nil {
		return err
	}
	path := filepath.Join(dir, ledger.FileName)
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	before, err := limitFiles(uint64(info.Size()))
	if err != nil {
		return err
	}
	granted, refused := 0, 0
	var mu sync.Mutex
	reserve := func(id string) bool {
		h, err := l.Reserve(context.Background(), request(id, user(1), 1))
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			refused++
			return false
		}
		granted++
		return h.Use() == nil
	}
	var wg sync.WaitGroup
	for worker := range 64 {
		wg.Go(func() {
			for i := 0; i < 2000 && reserve(fmt.Sprint(worker, "-", i)); i++ {
			}
		})
	}
	wg.Wait()
	if refused < 64 {
		return fmt.Errorf("only %d refused", refused)
	}
	if after, err := os.Stat(path); err != nil || after.Size() > info.Size() {
		return errors.Join(fmt.Errorf("the file grew to %d", after.Size()), err)
	}
	if _, err := limitFiles(before); err != nil {
		return err
	}
	for tick := time.NewTicker(50 * time.Millisecond); ; <-tick.C {
		if reserve("again-" + fmt.Sprint(refused)) {
			break
		}
		if refused > 1000 {
			return fmt.Errorf("still refused: %w", l.Healthy())
		}
	}
	if err := l.Close(); err != nil {
		return err
	}
	fmt.Println("granted", granted)
	return nil
}

// limitFiles sets how large a file of this process may become, and returns what
// held before.
func limitFiles(size uint64) (before uint64, err error) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		return 0, err
	}
	before, limit.Cur = limit.Cur, size
	return before, syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit)
}

func TestAFullDiskRefusesUntilThereIsSpace(t *testing.T) {
	dir := t.TempDir()
	out, err := child(t, "full", dir).Output()
	var granted money.USD
	if _, scan := fmt.Sscanf(string(out), "granted %d", &granted); err != nil || scan != nil {
		t.Fatalf("%v: %s", err, out)
	}
	s := must(t, of(open(t, ledger.Options{Dir: dir}).Standing(t.Context(), user(1))))
	if s.Month.Used != granted || granted < 100 {
		t.Errorf("used %d for %d granted", s.Month.Used, granted)
	}
}
