package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"keyshield/internal/money"
)

var (
	errNoRecord = errors.New("is not a line of the audit log")
	errTooLong  = errors.New("is too long for a line of the audit log")
	errChanged  = errors.New("does not match its own hash")
)

// sealed is a line that was taken apart: what its hash covers, and its links.
type sealed struct {
	covered    []byte // up to the hash member
	after      string // the day of the file before, on the first line of a file
	prev, hash []byte // in hex
}

const (
	hashHex = 2 * sha256.Size
	hashEnd = len(hashMember) + hashHex + len(`"}`)
	prevEnd = len(prevMember) + hashHex + len(`"`) + hashEnd
)

// unseal finds the links of a line without its end of line.
func unseal(line []byte) (sealed, error) {
	if len(line) < prevEnd {
		return sealed{}, errNoRecord
	}
	covered, hash := line[:len(line)-hashEnd], line[len(line)-hashEnd:]
	prev := covered[len(covered)-(prevEnd-hashEnd):]
	s := sealed{covered: covered}
	var ok1, ok2 bool
	s.prev, ok1 = between(prev, prevMember, `"`)
	s.hash, ok2 = between(hash, hashMember, `"}`)
	if !ok1 || !ok2 {
		return sealed{}, errNoRecord
	}
	s.after = afterIn(covered[:len(covered)-(prevEnd-hashEnd)])
	return s, nil
}

// afterIn is the day at the end of what stands before prev, if there is one. No text
// of a record can look like it: its quotes are escaped.
func afterIn(line []byte) string {
	n := len(afterMember) + len(time.DateOnly) + len(`"`)
	if len(line) < n {
		return ""
	}
	day, ok := between(line[len(line)-n:], afterMember, `"`)
	if !ok {
		return ""
	}
	return string(day)
}

func between(b []byte, before, after string) ([]byte, bool) {
	inner := b[len(before) : len(b)-len(after)]
	return inner, string(b[:len(before)]) == before && string(b[len(b)-len(after):]) == after
}

// sum is the hash that the line should have, in hex.
func (s sealed) sum() string {
	hash := sha256.Sum256(s.covered)
	return hex.EncodeToString(hash[:])
}

// parseLink reads a hash as it is written; nothing else will do.
func parseLink(seq int64, hash string) (link, bool) {
	l := link{seq: seq}
	n, err := hex.Decode(l.hash[:], []byte(hash[:min(len(hash), hashHex)]))
	return l, err == nil && n == len(l.hash) && l.String() == hash
}

// read is a whole line: what it says and, if it is untouched, its link.
func read(line []byte) (Record, link, error) {
	s, err := unseal(line)
	if err != nil {
		return Record{}, link{}, err
	}
	r, err := decode(line)
	if err != nil {
		return Record{}, link{}, err
	}
	if s.sum() != string(s.hash) {
		return r, link{}, errChanged
	}
	l, _ := parseLink(r.Seq, string(s.hash))
	return r, l, nil
}

// members are the names in their order. A known name out of order would be a second
// meaning of the line, so it is none.
var members = [...]string{
	"seq", "time", "kind", "id", "user", "issuer", "user_key", "plan", "ip", "endpoint", "model",
	"status", "outcome", "code", "input_tokens", "output_tokens", "cost_nanousd", "at_ceiling_nanousd",
	"took_ms", "count", "action", "target", "why", "by", "after", "prev", "hash",
}

// decode reads a line. Members it does not know are passed over: a later version
// wrote them.
func decode(line []byte) (Record, error) {
	var r Record
	if !utf8.Valid(line) {
		return r, errNoRecord
	}
	inner, ok := strings.CutPrefix(string(line), `{"seq":`)
	if !ok || !strings.HasSuffix(inner, "}") {
		return r, errNoRecord
	}
	c := cursor{rest: inner[:len(inner)-1]}
	r.Seq = c.integer()
	c.eat(`,"time":`)
	r.Time = c.time()
	at := 2
	for c.rest != "" && !c.bad {
		name := c.name()
		next := slices.Index(members[at:], name)
		if next < 0 {
			c.bad = c.bad || !isName(name) || slices.Contains(members[:at], name)
			c.skip()
			continue
		}
		at += next + 1
		r.set(name, &c)
	}
	if c.bad || r.Seq < 1 {
		return Record{}, errNoRecord
	}
	return r, nil
}

func (r *Record) set(name string, c *cursor) {
	switch name {
	case "kind":
		r.Kind = Kind(c.text())
	case "id":
		r.ID = c.text()
	case "user":
		r.User = c.text()
	case "issuer":
		r.Issuer = c.text()
	case "user_key":
		r.UserKey = c.text()
	case "plan":
		r.Plan = c.text()
	case "ip":
		r.IP = c.text()
	case "endpoint":
		r.Endpoint = c.text()
	case "model":
		r.Model = c.text()
	case "status":
		r.Status = int(c.integer())
	case "outcome":
		r.Outcome = c.text()
	case "code":
		r.Code = c.text()
	case "input_tokens":
		r.Input = c.integer()
	case "output_tokens":
		r.Output = c.integer()
	case "cost_nanousd":
		r.Cost = money.USD(c.integer())
	case "at_ceiling_nanousd":
		r.AtCeiling = money.USD(c.integer())
	case "took_ms":
		r.Took = c.took()
	case "count":
		r.Count = c.integer()
	case "action":
		r.Action = c.text()
	case "target":
		r.Target = c.text()
	case "why":
		r.Why = c.text()
	case "by":
		r.By = c.text()
	default: // after, prev, hash: the chain's
		c.text()
	}
}

// cursor reads a flat JSON object's members. What it cannot read makes it bad.
type cursor struct {
	rest string
	bad  bool
}

func (c *cursor) eat(prefix string) bool {
	rest, ok := strings.CutPrefix(c.rest, prefix)
	c.rest = rest
	c.bad = c.bad || !ok
	return ok
}

// name reads `,"name":`.
func (c *cursor) name() string {
	c.eat(`,"`)
	name, rest, ok := strings.Cut(c.rest, `":`)
	c.rest = rest
	c.bad = c.bad || !ok
	return name
}

func isName(s string) bool {
	return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789_") == ""
}

// skip passes over a value that is no object and no list.
func (c *cursor) skip() {
	switch {
	case strings.HasPrefix(c.rest, `"`):
		c.text()
	case strings.HasPrefix(c.rest, "true"):
		c.eat("true")
	case strings.HasPrefix(c.rest, "false"):
		c.eat("false")
	default:
		c.took() // a number, with up to three decimals
	}
}

// digits takes what looks like a number of JSON, without sign or fraction.
func (c *cursor) digits() string {
	n := 0
	for n < len(c.rest) && c.rest[n] >= '0' && c.rest[n] <= '9' {
		n++
	}
	digits := c.rest[:n]
	c.rest = c.rest[n:]
	c.bad = c.bad || n == 0 || n > 1 && digits[0] == '0'
	return digits
}

func (c *cursor) integer() int64 {
	sign := ""
	if strings.HasPrefix(c.rest, "-") {
		c.eat("-")
		sign = "-"
	}
	n, err := strconv.ParseInt(sign+c.digits(), 10, 64)
	c.bad = c.bad || err != nil
	return n
}

// took reads milliseconds with up to three decimals.
func (c *cursor) took() time.Duration {
	ms := c.integer()
	us := int64(0)
	if strings.HasPrefix(c.rest, ".") {
		c.eat(".")
		c.bad = c.bad || c.rest == "" || c.rest[0] < '0' || c.rest[0] > '9'
		for scale := int64(100); c.rest != "" && c.rest[0] >= '0' && c.rest[0] <= '9'; scale /= 10 {
			us += int64(c.rest[0]-'0') * scale
			c.rest = c.rest[1:]
		}
	}
	if ms < 0 || ms >= math.MaxInt64/int64(time.Millisecond) {
		c.bad = c.bad || ms > 0
		return 0
	}
	return time.Duration(ms)*time.Millisecond + time.Duration(us)*time.Microsecond
}

func (c *cursor) time() time.Time {
	t, err := time.Parse(time.RFC3339Nano, c.text())
	t = t.UTC().Truncate(time.Microsecond)
	c.bad = c.bad || err != nil || t.Year() < 1 || t.Year() > 9999
	return t
}

// text reads a JSON string. Without an escape it is a part of the line.
func (c *cursor) text() string {
	if !c.eat(`"`) {
		return ""
	}
	for i := 0; i < len(c.rest); i++ {
		switch b := c.rest[i]; {
		case b == '"':
			s := c.rest[:i]
			c.rest = c.rest[i+1:]
			return s
		case b == '\\':
			return c.unescape(i)
		case b < ' ':
			c.bad = true
			return ""
		}
	}
	c.bad = true
	return ""
}

// unescape goes on with a string at its first escape.
func (c *cursor) unescape(i int) string {
	s := []byte(c.rest[:i])
	c.rest = c.rest[i:]
	for c.rest != "" {
		b := c.rest[0]
		c.rest = c.rest[1:]
		switch {
		case b == '"':
			return string(s)
		case b == '\\':
			s = utf8.AppendRune(s, c.escape())
		case b < ' ':
			c.bad = true
			return ""
		default:
			s = append(s, b)
		}
	}
	c.bad = true
	return ""
}

// escape reads what follows a backslash.
func (c *cursor) escape() rune {
	if c.rest == "" {
		c.bad = true
		return 0
	}
	b := c.rest[0]
	c.rest = c.rest[1:]
	switch b {
	case '"', '\\', '/':
		return rune(b)
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	}
	n, err := strconv.ParseUint(c.rest[:min(4, len(c.rest))], 16, 16)
	if b != 'u' || err != nil || len(c.rest) < 4 || !utf8.ValidRune(rune(n)) {
		c.bad = true
		return 0
	}
	c.rest = c.rest[4:]
	return rune(n)
}
