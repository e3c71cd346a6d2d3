package alert_test

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A disk that hangs is what an alert may be about. A pipe that nobody reads hangs
// as well: opening it does not return.
func TestHangingDiskHoldsNoAlertUp(t *testing.T) {
	t.Parallel()
	var in inbox
	o := webhookOnly(&in)
	o.Dir = t.TempDir()
	pipe := filepath.Join(o.Dir, "alerts.json.new")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	a := start(t, o)
	began := time.Now()
	a.Send(critical(1))
	eventually(t, "the alert", func() bool { return len(in.at("ops.")) == 1 })
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it left after %v", took)
	}
	began = time.Now()
	if err := a.Close(); err == nil || !strings.Contains(err.Error(), "does not answer") {
		t.Errorf("Close: %v", err)
	}
	if took := time.Since(began); took > 8*time.Second {
		t.Errorf("Close took %v", took)
	}
	reader, err := os.OpenFile(pipe, os.O_RDONLY|syscall.O_NONBLOCK, 0) // the writer goes on, and ends
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	eventually(t, "the writer's end", func() bool { return a.Close() != nil && !hanging(a.Close()) })
}

func hanging(err error) bool { return err != nil && strings.Contains(err.Error(), "does not answer") }
