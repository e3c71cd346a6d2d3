package audit_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"keyshield/internal/audit"
)

// childEnv makes this test binary a server that is killed.
const childEnv = "KEYSHIELD_AUDIT_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		if err := child(dir); err != nil {
			fmt.Println("failed", err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// child writes with all its might and says which records it was promised: those it
// waited for, and those it queued before a Drain.
func child(dir string) error {
	l, err := audit.Open(audit.Options{Dir: dir})
	if err != nil {
		return err
	}
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for i := 0; ; i++ {
				id := fmt.Sprintf("%d-%d-%d", os.Getpid(), worker, i)
				wait := i%2 == 0
				l.Request(&audit.Record{ID: id, User: "ana"}, wait)
				if !wait {
					l.Drain()
				}
				if l.Healthy() == nil {
					fmt.Println("ok", id)
				}
			}
		})
	}
	wg.Wait()
	return nil
}

func TestNothingAcknowledgedIsLostToKill9(t *testing.T) {
	dir := t.TempDir()
	promised := map[string]bool{}
	for kill := range 8 {
		lines := runAndKill(t, dir, time.Duration(15+kill*23)*time.Millisecond)
		for _, line := range lines {
			id, ok := strings.CutPrefix(line, "ok ")
			if !ok {
				t.Fatalf("the child said %q", line)
			}
			promised[id] = true
		}
	}
	if len(promised) == 0 {
		t.Fatal("no child got to write anything")
	}
	shut(t, open(t, audit.Options{Dir: dir}))
	got := ids(t, dir)
	for id := range promised {
		if got[id] != 1 {
			t.Errorf("%s was acknowledged and is there %d times", id, got[id])
		}
	}
	sound(t, dir)
}

// runAndKill kills a child some time after its first line and gives its whole lines.
func runAndKill(t *testing.T, dir string, after time.Duration) []string {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var lines []string
	r := bufio.NewReader(out)
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			break // half a line was promised to nobody
		}
		if lines = append(lines, strings.TrimSuffix(line, "\n")); len(lines) == 1 {
			time.AfterFunc(after, func() { _ = cmd.Process.Signal(syscall.SIGKILL) })
		}
	}
	if err := cmd.Wait(); err == nil {
		t.Error("the child ended by itself")
	}
	return lines
}
