//go:build !race && !msan && !asan && (amd64 || arm64)

package socket

import (
	"syscall"
	"unsafe"
)

func receive(fd uintptr, p []byte) (int, syscall.Errno) {
	return transact(syscall.SYS_RECVFROM, fd, p, 0)
}

func send(fd uintptr, p []byte) (int, syscall.Errno) {
	return transact(syscall.SYS_SENDTO, fd, p, syscall.MSG_NOSIGNAL)
}

// transact is the only raw system call: the scheduler is not told of it, and so it must
// not wait.
func transact(call, fd uintptr, p []byte, flags uintptr) (int, syscall.Errno) {
	for {
		n, _, errno := syscall.RawSyscall6(call, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), syscall.MSG_DONTWAIT|flags, 0, 0)
		switch errno {
		case 0:
			return int(n), 0
		case syscall.EINTR:
		default:
			return 0, errno
		}
	}
}
