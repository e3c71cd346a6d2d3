package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// pinning says how the cores are shared out.
const pinning = "the proxy has a core of its own (sched_setaffinity, GOMAXPROCS=1)"

// sides divides the cores we may use: the last one is the proxy's. A single
// core is shared.
func sides() (proxy, others unix.CPUSet, err error) {
	if err := unix.SchedGetaffinity(0, &others); err != nil {
		return proxy, others, fmt.Errorf("read the affinity: %w", err)
	}
	last := 0
	for cpu := range 8 * int(unsafe.Sizeof(others)) {
		if others.IsSet(cpu) {
			last = cpu
		}
	}
	proxy.Set(last)
	if others.Count() > 1 {
		others.Clear(last)
	}
	return proxy, others, nil
}

// cores is how many cores a side has.
func cores(on side) int {
	_, others, err := sides()
	if on == proxyCore || err != nil {
		return 1
	}
	return others.Count()
}

// startOn starts cmd on the cores of its side. A process inherits them from the
// thread that starts it, and so none of its threads ever ran elsewhere.
func startOn(cmd *exec.Cmd, on side) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	proxy, others, err := sides()
	if err != nil {
		return err
	}
	var before unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return fmt.Errorf("read the affinity: %w", err)
	}
	mine := others
	if on == proxyCore {
		mine = proxy
	}
	if err := unix.SchedSetaffinity(0, &mine); err != nil {
		return fmt.Errorf("set the affinity: %w", err)
	}
	return errors.Join(cmd.Start(), unix.SchedSetaffinity(0, &before))
}

// usageOf asks the kernel about a process.
func usageOf(pid int) (u usage, err error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return u, err
	}
	if u.User, u.System, err = parseStat(stat); err != nil {
		return u, err
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return u, err
	}
	if u.RSS, err = parseStatus(status, "VmRSS"); err != nil {
		return u, err
	}
	u.Peak, err = parseStatus(status, "VmHWM")
	return u, err
}

// tooManyStreams says why so many streams cannot be measured, if that is so: a
// proxy needs two descriptors for each. Go raises the limit to the hard one by
// itself.
func tooManyStreams(streams int) string {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return err.Error()
	}
	if need := uint64(2*streams + 200); streams > 0 && limit.Max < need {
		return fmt.Sprintf("a process may open %d files, and %d are needed: raise the hard limit (ulimit -Hn)", limit.Max, need)
	}
	return ""
}

// cpuModel is the processor's name.
func cpuModel() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return "unknown"
	}
	return modelName(info)
}

func kernel() string {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return "unknown"
	}
	return "Linux " + unix.ByteSliceToString(name.Release[:])
}
