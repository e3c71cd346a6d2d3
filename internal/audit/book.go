package audit

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"keyshield/internal/disk"
)

// file is what a day's file must be able to do.
type file interface {
	io.Writer
	Sync() error
	Truncate(size int64) error
	Stat() (os.FileInfo, error)
	Close() error
}

func openFile(path string) (file, error) {
	return os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o600)
}

// chunk is about how much goes into one write.
const chunk = 256 << 10

// book is the file of the day and the end of the chain. Whoever uses it holds the
// log's lock.
type book struct {
	opts Options
	dir  *dirLock
	buf  []byte

	chain link // the last line
	head  head // the last that is surely on disk

	day    string // of the file; it never goes back, or the files would lose their order
	last   string // day of the file with the last line
	path   string
	file   file // nil when it must be opened first
	id     os.FileInfo
	size   int64    // of what was written and is whole
	excess bool     // the file may have more than that, from a write of ours that failed
	notes  []string // what was found on opening the file again
}

// resume finds where the chain ends and takes the directory.
func (b *book) resume() (notes []string, err error) {
	if b.dir, err = lockDir(b.opts.Dir, b.opts.lockWait); err != nil {
		return nil, err
	}
	end, err := findEnd(b.opts.Dir)
	if err != nil {
		return nil, err
	}
	b.chain, b.day, b.last = end.chain, end.day, end.last
	b.head.dir = b.opts.Dir
	if end.fresh { // from now on a missing head means that somebody removed it
		err = b.head.write(b.chain)
	}
	return end.notes, err
}

// ready makes sure that the next line goes into the file of its day, and that this
// is the file people find there.
func (b *book) ready(now time.Time) error {
	day := max(dayOf(now), b.day)
	if b.file == nil {
		return b.open(day)
	}
	if err := b.check(); err != nil {
		b.let()
		return err
	}
	if day == b.day {
		return nil
	}
	err := b.file.Sync()
	b.let()
	if err != nil {
		return fmt.Errorf("sync %s: %w", b.path, err)
	}
	return b.open(day)
}

// check notices that somebody removed, replaced or changed the file under us.
func (b *book) check() error {
	id, err := os.Stat(b.path)
	switch {
	case err != nil:
		return fmt.Errorf("the file was removed under us: %w", err)
	case !os.SameFile(id, b.id):
		return fmt.Errorf("%s was replaced under us", b.path)
	case id.Size() != b.size:
		return fmt.Errorf("%s was changed under us: it has %d bytes, we wrote %d", b.path, id.Size(), b.size)
	}
	return nil
}

// open opens a day's file, which may have lines already.
func (b *book) open(day string) error {
	if err := b.relock(); err != nil {
		return err
	}
	path := filepath.Join(b.opts.Dir, day+extension)
	if _, err := os.Lstat(path); errors.Is(err, os.ErrNotExist) {
		defer func() { _ = disk.SyncDir(b.opts.Dir) }() // the name of a new file
	}
	opened, err := b.opts.open(path)
	if err != nil {
		return err
	}
	id, err := opened.Stat()
	if err == nil && !id.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a file", path)
	}
	if err == nil && b.excess && b.id != nil && os.SameFile(id, b.id) && id.Size() > b.size {
		err = opened.Truncate(b.size)
	}
	if err != nil {
		return errors.Join(err, opened.Close())
	}
	size, cut, err := cutTorn(path, opened)
	if err != nil {
		return errors.Join(err, opened.Close())
	}
	if cut > 0 {
		b.notes = append(b.notes, tornNote(path, cut))
	}
	b.day, b.path, b.file, b.id, b.size, b.excess = day, path, opened, id, size, false
	return nil
}

// relock takes the directory again if somebody removed it and made another.
func (b *book) relock() error {
	if b.dir.stands() {
		return nil
	}
	dir, err := lockDir(b.opts.Dir, 0)
	if err != nil {
		return err
	}
	_ = b.dir.release() // of a directory that nobody can reach
	b.dir = dir
	b.head.forget()
	return nil
}

// let closes the file; the next line opens it again.
func (b *book) let() {
	if err := b.file.Close(); err != nil {
		b.opts.Log.Warn("close a file of the audit log", "path", b.path, "error", err)
	}
	b.file = nil
}

// append writes the lines of records and says how many were written. Their numbers
// and hashes count only once they are in the file.
func (b *book) append(records []Record) (written int, err error) {
	for written < len(records) {
		end, n := b.chain, 0
		b.buf = b.buf[:0]
		for _, r := range records[written:] {
			end.seq++
			r.Seq = end.seq
			r.IP = b.address(r.IP)
			b.buf, end.hash = appendLine(b.buf, &r, &end.hash, b.after(n))
			n++
			if len(b.buf) >= chunk {
				break
			}
		}
		if err := b.write(b.buf); err != nil {
			return written, err
		}
		b.chain, b.last = end, b.day
		written += n
	}
	return written, nil
}

// after is the day that the nth line to be written names as the one of the file
// before. It is in the chain, so nobody can say later that the removed files were
// older than they were.
func (b *book) after(n int) string {
	if n > 0 || b.size > 0 || b.last == b.day {
		return ""
	}
	return b.last
}

func (b *book) write(lines []byte) error {
	_, err := b.file.Write(lines)
	if err == nil {
		b.size += int64(len(lines))
		return nil
	}
	// Half a batch must not stay: its numbers will be given again.
	b.excess = true
	if back := b.file.Truncate(b.size); back == nil {
		b.excess = false
	}
	b.let()
	return fmt.Errorf("write %s: %w", b.path, err)
}

// address is what is written instead of an address, if addresses are hidden. What
// cannot be read is not written in clear.
func (b *book) address(ip string) string {
	if b.opts.HashIP == nil || ip == "" || strings.HasPrefix(ip, hashedPrefix) {
		return ip
	}
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return ""
	}
	return b.opts.HashIP(addr)
}

const hashedPrefix = "hmac:"

// secure syncs the file and then names its last line in head.
func (b *book) secure() error {
	if b.file == nil || b.head.names(b.chain) {
		return nil
	}
	if err := b.file.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", b.path, err)
	}
	return b.head.write(b.chain)
}

// note is what was found on the way since the last note.
func (b *book) note() error {
	if len(b.notes) == 0 {
		return nil
	}
	err := errors.New(strings.Join(b.notes, "; "))
	b.notes = nil
	return err
}

func (b *book) close() error {
	var err error
	if b.file != nil {
		err = b.file.Close()
		b.file = nil
	}
	if b.dir != nil {
		err = errors.Join(err, b.dir.release())
		b.dir = nil
	}
	return err
}
