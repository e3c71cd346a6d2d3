//go:build (race || msan || asan) && (amd64 || arm64)

package socket

import "syscall"

// The race detector takes what is sent and received for an order of events, and it and
// the sanitizers know of it by these two functions.

func receive(fd uintptr, p []byte) (int, syscall.Errno) { return transact(syscall.Read, fd, p) }
func send(fd uintptr, p []byte) (int, syscall.Errno)    { return transact(syscall.Write, fd, p) }

func transact(call func(fd int, p []byte) (int, error), fd uintptr, p []byte) (int, syscall.Errno) {
	for {
		n, err := call(int(fd), p)
		if err == nil {
			return n, 0
		}
		if err != syscall.EINTR {
			return 0, err.(syscall.Errno)
		}
	}
}
