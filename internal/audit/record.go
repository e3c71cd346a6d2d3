package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"keyshield/internal/money"
)

// Kind is what a record is about.
type Kind string

const (
	Request  Kind = "request"  // of a known caller
	Refused  Kind = "refused"  // Count strangers were refused with Code, in the minute from Time
	Operator Kind = "operator" // Action on Target
	Start    Kind = "start"    // of a server
	Stop     Kind = "stop"
	Lost     Kind = "lost" // the log could not be written because of Why; Count records are missing
)

// The outcomes of a request, and of an operator's act.
const (
	OK         = "ok"
	Denied     = "refused"
	Failed     = "failed"
	ClientGone = "client_gone"
	Unknown    = "unknown" // the process died while it was under way
	Done       = "done"
)

// Record is one line of the log. As JSON, its members come in this order, and those
// that are empty are left out. Strings are cut to 256 bytes, Why to 1 KiB; times are
// kept to the microsecond.
type Record struct {
	Seq  int64 // given by the log
	Time time.Time
	Kind Kind
	ID   string // of the request

	User, Issuer, UserKey, Plan string
	IP                          string // an address, or what Options.HashIP made of it
	Endpoint, Model             string
	Status                      int
	Outcome, Code               string
	Input, Output               int64     // tokens
	Cost                        money.USD // proven
	AtCeiling                   money.USD // charged without proof
	Took                        time.Duration

	// Count is how many were refused, or lost. On a request's record it is 0, or says
	// that this line stands for so many (see Turned): whoever counts adds max(1, Count).
	Count int64

	Action, Target, Why, By string // by an operator: "disable", "user:alice", in their words, "cli"
}

const (
	maxText = 256
	maxWhy  = 1024

	// maxLine is more than any line of ours: every byte of every text escaped.
	maxLine = 64 << 10
)

// MarshalJSON is the line without its hashes.
func (r Record) MarshalJSON() ([]byte, error) {
	return append(appendRecord(nil, &r), '}'), nil
}

// UnmarshalJSON reads what MarshalJSON writes, and whole lines.
func (r *Record) UnmarshalJSON(text []byte) error {
	read, err := decode(text)
	if err != nil {
		return err
	}
	*r = read
	return nil
}

type digest [sha256.Size]byte

// link is a line's place in the chain.
type link struct {
	seq  int64
	hash digest
}

// String is the hash as it is written.
func (l link) String() string { return hex.EncodeToString(l.hash[:]) }

const (
	afterMember = `,"after":"`
	prevMember  = `,"prev":"`
	hashMember  = `,"hash":"`
)

// appendLine writes the line of r behind the line prev names. After is the day of the
// file before, for the first line of a file, else empty.
func appendLine(buf []byte, r *Record, prev *digest, after string) ([]byte, digest) {
	start := len(buf)
	buf = appendRecord(buf, r)
	buf = appendText(buf, `,"after":`, after, len(time.DateOnly))
	buf = append(buf, prevMember...)
	buf = hex.AppendEncode(buf, prev[:])
	buf = append(buf, '"')
	hash := sha256.Sum256(buf[start:])
	buf = append(buf, hashMember...)
	buf = hex.AppendEncode(buf, hash[:])
	return append(buf, "\"}\n"...), hash
}

// appendRecord writes r without the closing brace.
func appendRecord(buf []byte, r *Record) []byte {
	buf = append(buf, `{"seq":`...)
	buf = strconv.AppendInt(buf, r.Seq, 10)
	buf = append(buf, `,"time":"`...)
	buf = appendTime(buf, r.Time)
	buf = append(buf, '"')
	buf = appendText(buf, `,"kind":`, string(r.Kind), maxText)
	buf = appendText(buf, `,"id":`, r.ID, maxText)
	buf = appendText(buf, `,"user":`, r.User, maxText)
	buf = appendText(buf, `,"issuer":`, r.Issuer, maxText)
	buf = appendText(buf, `,"user_key":`, r.UserKey, maxText)
	buf = appendText(buf, `,"plan":`, r.Plan, maxText)
	buf = appendText(buf, `,"ip":`, r.IP, maxText)
	buf = appendText(buf, `,"endpoint":`, r.Endpoint, maxText)
	buf = appendText(buf, `,"model":`, r.Model, maxText)
	buf = appendNumber(buf, `,"status":`, int64(r.Status))
	buf = appendText(buf, `,"outcome":`, r.Outcome, maxText)
	buf = appendText(buf, `,"code":`, r.Code, maxText)
	buf = appendNumber(buf, `,"input_tokens":`, r.Input)
	buf = appendNumber(buf, `,"output_tokens":`, r.Output)
	buf = appendNumber(buf, `,"cost_nanousd":`, int64(r.Cost))
	buf = appendNumber(buf, `,"at_ceiling_nanousd":`, int64(r.AtCeiling))
	buf = appendTook(buf, `,"took_ms":`, r.Took)
	buf = appendNumber(buf, `,"count":`, r.Count)
	buf = appendText(buf, `,"action":`, r.Action, maxText)
	buf = appendText(buf, `,"target":`, r.Target, maxText)
	buf = appendText(buf, `,"why":`, r.Why, maxWhy)
	return appendText(buf, `,"by":`, r.By, maxText)
}

const timeLayout = "2006-01-02T15:04:05.000000Z"

// appendTime writes a time that every reader understands: RFC 3339 knows four
// digits of a year.
func appendTime(buf []byte, t time.Time) []byte {
	t = t.UTC()
	if year := t.Year(); year < 1 || year > 9999 {
		t = time.Time{}
	}
	return t.AppendFormat(buf, timeLayout)
}

func appendNumber(buf []byte, name string, n int64) []byte {
	if n == 0 {
		return buf
	}
	return strconv.AppendInt(append(buf, name...), n, 10)
}

// appendTook writes milliseconds with three decimals.
func appendTook(buf []byte, name string, took time.Duration) []byte {
	us := int64(took / time.Microsecond)
	if us <= 0 {
		return buf
	}
	buf = strconv.AppendInt(append(buf, name...), us/1000, 10)
	if rest := us % 1000; rest != 0 {
		buf = append(buf, '.', byte('0'+rest/100), byte('0'+rest/10%10), byte('0'+rest%10))
	}
	return buf
}

func appendText(buf []byte, name, s string, limit int) []byte {
	if s == "" {
		return buf
	}
	return appendString(append(buf, name...), s, limit)
}

// appendString writes s, cut to limit bytes, as a JSON string of one line that does
// nothing to a terminal.
func appendString(buf []byte, s string, limit int) []byte {
	buf = append(buf, '"')
	if len(s) <= limit && plain(s) {
		buf = append(buf, s...)
		return append(buf, '"')
	}
	if len(s) > limit || !utf8.ValidString(s) {
		s = bounded(s, limit)
	}
	from := 0
	for i := 0; i < len(s); {
		c, size := rune(s[i]), 1
		if c >= utf8.RuneSelf {
			c, size = utf8.DecodeRuneInString(s[i:])
		}
		if harmless(c) {
			i += size
			continue
		}
		buf = append(buf, s[from:i]...)
		buf = appendEscape(buf, c)
		i += size
		from = i
	}
	buf = append(buf, s[from:]...)
	return append(buf, '"')
}

// plain says that s needs no second look: nearly every text.
func plain(s string) bool {
	for i := range len(s) {
		if b := s[i]; b-' ' >= 0x7f-' ' || b == '"' || b == '\\' {
			return false
		}
	}
	return true
}

// harmless says that c stands for itself: it ends neither string nor line, and is
// no control and no mark that reorders what is around it.
func harmless(c rune) bool {
	switch {
	case c < 0x7f:
		return c >= ' ' && c != '"' && c != '\\'
	case c < 0xa0:
		return false
	case c < 0x200e:
		return true
	}
	return !(c <= 0x200f || c >= 0x2028 && c <= 0x202e || c >= 0x2066 && c <= 0x2069 || c == 0xfeff)
}

func appendEscape(buf []byte, c rune) []byte {
	switch c {
	case '"', '\\':
		return append(buf, '\\', byte(c))
	case '\n':
		return append(buf, `\n`...)
	case '\r':
		return append(buf, `\r`...)
	case '\t':
		return append(buf, `\t`...)
	}
	const digits = "0123456789abcdef"
	return append(buf, '\\', 'u', digits[c>>12&15], digits[c>>8&15], digits[c>>4&15], digits[c&15])
}

const ellipsis = "…"

// bounded is s as valid UTF-8 of at most limit bytes.
func bounded(s string, limit int) string {
	const replacement = "\uFFFD"
	if len(s) > 2*limit {
		s = s[:2*limit] // do no work for what is cut off anyway
	}
	s = strings.ToValidUTF8(s, replacement)
	if len(s) <= limit {
		return s
	}
	end := limit - len(ellipsis)
	for !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + ellipsis
}
