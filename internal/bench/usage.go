package main

import (
	"bytes"
	"fmt"
	"strconv"
	"time"
)

// usage is what a process has used since it started.
type usage struct {
	User, System time.Duration
	RSS, Peak    int64 // bytes
}

func (u usage) cpu() time.Duration { return u.User + u.System }

// tick is the unit of CPU time in /proc: USER_HZ, 100 on every architecture
// that Go runs on.
const tick = 10 * time.Millisecond

// parseStat reads utime and stime from /proc/PID/stat (proc_pid_stat(5)).
func parseStat(stat []byte) (user, system time.Duration, err error) {
	// The second field is the program's name, in brackets and with anything in it.
	end := bytes.LastIndexByte(stat, ')')
	fields := bytes.Fields(stat[end+1:])
	if end < 0 || len(fields) < 13 {
		return 0, 0, fmt.Errorf("no /proc/PID/stat: %.80q", stat)
	}
	utime, err1 := strconv.ParseInt(string(fields[11]), 10, 64) // field 14
	stime, err2 := strconv.ParseInt(string(fields[12]), 10, 64)
	if err1 != nil || err2 != nil {
		return 0, 0, fmt.Errorf("no times in /proc/PID/stat: %.80q", stat)
	}
	return time.Duration(utime) * tick, time.Duration(stime) * tick, nil
}

// parseStatus reads a size such as VmRSS from /proc/PID/status, in bytes.
func parseStatus(status []byte, name string) (int64, error) {
	for line := range bytes.Lines(status) {
		value, ok := bytes.CutPrefix(line, []byte(name+":"))
		if !ok {
			continue
		}
		digits, ok := bytes.CutSuffix(bytes.TrimSpace(value), []byte(" kB"))
		kib, err := strconv.ParseInt(string(digits), 10, 64)
		if !ok || err != nil {
			return 0, fmt.Errorf("%s is no size: %q", name, line)
		}
		return kib << 10, nil
	}
	return 0, fmt.Errorf("no %s in /proc/PID/status", name)
}
