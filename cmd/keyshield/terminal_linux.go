package main

import (
	"os"

	"golang.org/x/sys/unix"
)

// isTerminal asks for a terminal's settings: /dev/null has none, though it is a
// character device too.
func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}
