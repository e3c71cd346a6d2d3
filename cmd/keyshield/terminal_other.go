//go:build !linux

package main

import "os"

// isTerminal takes other character devices for one too: /dev/null is shown a prompt,
// and ends at once.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
