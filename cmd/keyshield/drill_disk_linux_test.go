package main

import (
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestDrillDisk: the disk of the real program takes nothing more. The operator hears of
// the ledger and of the audit log, from a program that can keep nothing, and hears once
// that both are well again.
func TestDrillDisk(t *testing.T) {
	t.Parallel()
	d := newDrill(t)
	var extra []string
	for name, value := range d.env {
		switch name {
		case "OPENAI_BASE_URL", "DATA_DIR", "PORT":
		default:
			extra = append(extra, name+"="+value)
		}
	}
	m := newMachine(t, t.TempDir(), extra...)
	m.boot()
	d.rig = m.rig
	d.reach()
	ask := func() string { return d.askOnce(d.caller("ana", 1), drillForms()[0], "hello") }
	if !eventually(t, 10*time.Second, func() bool { return ask() == "ok" }) {
		t.Fatalf("before: %q", ask())
	}

	m.starve(0)
	if said := ask(); said != "503 unavailable" {
		t.Errorf("without a disk: %q", said)
	}
	d.told.wait("ledger_unwritable", 1)
	d.told.wait("audit_broken", 1)
	m.starve(unix.RLIM_INFINITY)
	if !eventually(t, 15*time.Second, func() bool { return ask() == "ok" }) {
		t.Errorf("with a disk again: %q", ask())
	}
	d.told.wait("ledger_writable", 1)
	d.told.wait("audit_works", 1)

	d.rig.stop = func() int {
		if err := m.running.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		err := m.running.Wait()
		m.running = nil
		if err != nil {
			t.Error(err)
			return exitFailed
		}
		return exitOK
	}
	d.over(map[string]int{"ledger_unwritable": 1, "ledger_writable": 1, "audit_broken": 1, "audit_works": 1})
	if _, err := os.Stat(m.data); err != nil {
		t.Error(err)
	}
}
