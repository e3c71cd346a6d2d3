package watch

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
)

// The state's file: the magic line, what is remembered of everything, the month's
// money, the users to the end, and the SHA-256 of all of it. Pseudonyms and
// numbers are in it, nobody's id.
const (
	magic     = "keyshield watch 1\n"
	fixedPast = 4*4 + signals*(1+4) + 2*signals + 1
	maxPast   = fixedPast + remembered*signals
	maxState  = int64(len(magic) + maxPast + 2*8 + maxUsers*(1+maxKey+maxPast) + sha256.Size)
)

var errDamaged = errors.New("the watch's state is damaged")

// state is what a file says.
type state struct {
	all    past
	month  int64 // when it began
	proven int64 // in it
	users  []remains
}

type remains struct {
	key string
	past
}

func appendHead(to []byte, all *past, month, proven int64) []byte {
	to = appendPast(append(to, magic...), all)
	to = binary.BigEndian.AppendUint64(to, uint64(month))
	return binary.BigEndian.AppendUint64(to, uint64(proven))
}

func appendUser(to []byte, key string, p *past) []byte {
	to = append(append(to, byte(len(key))), key...)
	return appendPast(to, p)
}

func appendSum(to []byte) []byte {
	sum := sha256.Sum256(to)
	return append(to, sum[:]...)
}

// appendPast writes the days oldest first, so that where the ring begins is no
// part of the state.
func appendPast(to []byte, p *past) []byte {
	for _, n := range []uint32{uint32(p.lastSeen), uint32(p.day), uint32(p.disabledAt), uint32(p.forgivenAt)} {
		to = binary.BigEndian.AppendUint32(to, n)
	}
	for s := range p.told {
		to = binary.BigEndian.AppendUint32(append(to, p.told[s]), uint32(p.toldAt[s]))
	}
	to = append(append(to, p.today[:]...), p.pardoned[:]...)
	to = append(to, p.days)
	first := (int(p.next) + remembered - int(p.days)) % remembered
	for i := range int(p.days) {
		to = append(to, p.peaks[(first+i)%remembered][:]...)
	}
	return to
}

func decode(b []byte) (state, error) {
	body := len(b) - sha256.Size
	if body < len(magic) || string(b[:len(magic)]) != magic {
		return state{}, fmt.Errorf("%w: it does not begin with %q", errDamaged, magic)
	}
	if sum := sha256.Sum256(b[:body]); !bytes.Equal(sum[:], b[body:]) {
		return state{}, fmt.Errorf("%w: its checksum is wrong", errDamaged)
	}
	r := reader{rest: b[len(magic):body]}
	st := state{all: r.past(), month: r.int64(), proven: r.int64()}
	known := make(map[string]bool)
	for len(r.rest) > 0 && !r.bad {
		u := remains{key: r.key()}
		u.past = r.past()
		if known[u.key] || len(st.users) == maxUsers {
			r.bad = true
		}
		known[u.key] = true
		st.users = append(st.users, u)
	}
	if r.bad || st.month < 0 || st.proven < 0 || st.proven > maxCounted {
		return state{}, fmt.Errorf("%w: it holds what cannot be", errDamaged)
	}
	return st, nil
}

// reader takes pieces off the front. Once something was wrong, all it gives is
// zero.
type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) take(n int) []byte {
	if n > len(r.rest) {
		r.bad = true
	}
	if r.bad {
		return make([]byte, n)
	}
	piece := r.rest[:n]
	r.rest = r.rest[n:]
	return piece
}

func (r *reader) byte() byte     { return r.take(1)[0] }
func (r *reader) uint32() uint32 { return binary.BigEndian.Uint32(r.take(4)) }
func (r *reader) int64() int64   { return int64(binary.BigEndian.Uint64(r.take(8))) }

func (r *reader) key() string {
	n := int(r.byte())
	if n == 0 || n > maxKey {
		r.bad = true
		return ""
	}
	return string(r.take(n))
}

func (r *reader) past() (p past) {
	p.lastSeen, p.day = stamp(r.uint32()), int32(r.uint32())
	p.disabledAt, p.forgivenAt = stamp(r.uint32()), stamp(r.uint32())
	for s := range p.told {
		p.told[s], p.toldAt[s] = r.byte(), stamp(r.uint32())
	}
	copy(p.today[:], r.take(signals))
	copy(p.pardoned[:], r.take(signals))
	p.days = r.byte()
	if p.days > remembered || p.day < 0 {
		r.bad = true
		return past{}
	}
	p.next = p.days % remembered
	for i := range int(p.days) {
		copy(p.peaks[i][:], r.take(signals))
	}
	return p
}
