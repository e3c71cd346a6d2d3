package config

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// checkDataDir refuses to keep the books where they are thrown away: a budget
// that begins anew with every deploy is none.
func (l *Loaded) checkDataDir(in inputs, dir, mountinfo string) {
	c := &l.Config.Money
	if l.mode == Dev && l.Sources["DATA_DIR"] == FromDefault {
		c.DataDir = "" // dev makes a folder of its own
		l.note("DATA_DIR", "a temporary folder")
		return
	}
	if !filepath.IsAbs(c.DataDir) {
		c.DataDir = filepath.Join(dir, c.DataDir)
	}
	path, err := filepath.Abs(c.DataDir)
	if err != nil {
		l.problem("DATA_DIR", "DATA_DIR is no path: the working directory is gone", "DATA_DIR=/data")
		return
	}
	c.DataDir = path
	if l.mode == Serve {
		l.checkWritable(path)
		l.checkLasting(in, path, mountinfo)
	}
}

func (l *Loaded) checkWritable(path string) {
	parent, err := existing(path)
	info, err2 := os.Stat(parent)
	switch {
	case err != nil || err2 != nil:
		l.problem("DATA_DIR", fmt.Sprintf("the folder %s cannot be reached", quote(path)), "DATA_DIR=<a folder that this user can reach>")
	case !info.IsDir():
		l.problem("DATA_DIR", fmt.Sprintf("%s is not a folder", quote(parent)), "DATA_DIR=<a folder>")
	case unix.Access(parent, unix.W_OK|unix.X_OK) != nil:
		l.problem("DATA_DIR", fmt.Sprintf("the folder %s may not be written by this user (%d)", quote(parent), os.Getuid()), fmt.Sprintf("DATA_DIR=<a folder that user %d may write>", os.Getuid()))
	}
}

// checkLasting asks for a mounted volume only where the variables say that nothing
// else lasts. To guess would be to refuse machines of one's own.
func (l *Loaded) checkLasting(in inputs, path, mountinfo string) {
	if !l.sound("DATA_DIR") || !l.sound("LEDGER_EPHEMERAL") {
		return
	}
	at, err := mountOf(mountinfo, path)
	if err == nil && at.remote() {
		l.problem("DATA_DIR", fmt.Sprintf("%s lies on %s, a network or user-space file system, where locks and syncs are not to be relied on: use a disk of this machine", quote(path), at.kind), "DATA_DIR=<a folder on a disk of this machine>")
		return
	}
	if l.Config.Money.LedgerEphemeral != "" {
		l.Config.Ephemeral = true
		l.warn("LEDGER_EPHEMERAL=accept: WHAT WAS SPENT MAY BE FORGOTTEN WITH EVERY START, and every budget then begins anew. Set a hard limit for the project at OpenAI too.")
		return
	}
	why := at.forgets()
	if err != nil {
		why = "a disk that could not be made out"
	}
	if home, ok := forgetfulHome(in.shell); ok && why != "" {
		l.problem("DATA_DIR", fmt.Sprintf("%s lies on %s: %s, and with it what was spent, so that every budget would begin anew. %s", quote(path), why, home.loses, home.ways()), home.fix(in.shell))
	}
}
