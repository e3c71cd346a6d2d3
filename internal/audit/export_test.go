package audit

import "time"

// File lets tests break the disk.
type File = file

func (o Options) OnDisk(open func(path string) (File, error)) Options {
	o.open = open
	return o
}

func (o Options) WithLockWait(wait time.Duration) Options {
	o.lockWait = wait
	return o
}

func (o Options) WithRoom(records int64) Options {
	o.room = records
	return o
}

func (o Options) WithOwnLines(n int64) Options {
	o.own = n
	return o
}

var OpenFile = openFile

// AppendLine is a line behind 64 zeros.
func AppendLine(buf []byte, r *Record) []byte {
	buf, _ = appendLine(buf, r, &digest{}, "")
	return buf
}

// Read takes a line apart.
func Read(line []byte) (Record, error) {
	r, _, err := read(line)
	return r, err
}

const (
	MaxLine = maxLine
	MaxText = maxText
	MaxWhy  = maxWhy
)
