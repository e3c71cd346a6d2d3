package alert_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"keyshield/internal/alert"
)

// A disk that hangs is what an alert may be about.
func TestHangingDiskHoldsNoAlertUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var in inbox
		o := webhookOnly(&in)
		o.Dir = t.TempDir()
		hangs := make(chan struct{})
		alert.On(&o, func(string, []byte) error { <-hangs; return errors.New("gone") })
		a := start(t, o)
		a.Send(critical(1))
		time.Sleep(5 * time.Second)
		if n := len(in.at("ops.")); n != 1 {
			t.Errorf("%d alerts left within five seconds", n)
		}
		began := time.Now()
		if err := a.Close(); err == nil || !strings.Contains(err.Error(), "does not answer") {
			t.Errorf("Close: %v", err)
		}
		if took := time.Since(began); took > 8*time.Second {
			t.Errorf("Close took %v", took)
		}
		close(hangs) // the writer goes on, and ends
		synctest.Wait()
		if err := a.Close(); err == nil || strings.Contains(err.Error(), "does not answer") {
			t.Errorf("Close, when the disk has answered: %v", err)
		}
	})
}
