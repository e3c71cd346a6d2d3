package prompt

import (
	"regexp"
	"strings"

	"golang.org/x/net/html"
)

// What is markup, and goes:
//
//   - a tag whose name HTML, SVG or MathML knows, whatever else is in it
//   - a tag with another name that could be one, if an attribute has a value
//   - either at the end of the text without its >: to the end if its first attribute
//     has a value, else (if the name is known) only < and the name
//   - a comment and a doctype; script and style with their content; if never
//     closed, to the end of the text, as in any browser
//
// Everything else is text: a < b, List<String>, Map<K, V>, x<y and y>z, </3, <?php.
var (
	firstValue = regexp.MustCompile(`^[\s/]+` + attribute)
	anyValue   = regexp.MustCompile(`[\s/"']` + attribute)
	tagName    = regexp.MustCompile(`^[A-Za-z][\w.-]*(:[A-Za-z][\w.-]*)?$`) // not https:
)

// attribute has a value: not x==1 or x!=1.
const attribute = `[A-Za-z_:@][^\s"'<>/=!]*\s*=([^=]|$)`

// A removal can join what stood around it into a new tag, and the tokenizer has to
// start anew behind a < that was text. Both are rare in what people write, and both
// can be piled up until they cost the square of the text. So the work is bounded in
// bytes tokenized; at the bound each remaining < goes instead, which leaves no tag.
const (
	workFloor   = 32 << 10
	workPerByte = 32
	restartCost = 128 // a tokenizer with its buffer
)

func workLimit(s string) int { return workFloor + workPerByte*len(s) }

// stripTags removes markup until there is none. What one pass may cost depends on
// its input alone, or cleaning twice could differ from cleaning once.
func stripTags(s string) string {
	s, _ = strip(s)
	return s
}

func strip(s string) (stripped string, work int) {
	for limit := workLimit(s); ; {
		p := newPass(s)
		p.run()
		work += p.work
		if !p.changed() && !p.exhausted() {
			return s, work
		}
		s = p.result()
		if p.exhausted() || work > limit {
			return strings.ReplaceAll(s, "<", ""), work
		}
	}
}

// pass goes through a text once.
type pass struct {
	s    string
	out  strings.Builder
	kept int // s[:kept] is decided: in out, or cut
	pos  int // of the current token
	z    *html.Tokenizer

	work, limit int
}

func newPass(s string) *pass { return &pass{s: s, limit: workLimit(s)} }

func (p *pass) changed() bool   { return p.kept > 0 }
func (p *pass) exhausted() bool { return p.work > p.limit }
func (p *pass) result() string  { return p.out.String() + p.s[p.kept:] }

func (p *pass) run() {
	p.restart(0)
	verbatim := false // the next token is what stands in a script or style
	for !p.exhausted() {
		kind := p.z.Next()
		if kind == html.ErrorToken {
			if !p.tail() {
				return
			}
			continue
		}
		raw := p.s[p.pos : p.pos+len(p.z.Raw())]
		p.work += len(raw)

		gone := false
		switch kind {
		case html.TextToken:
			gone = verbatim
			verbatim = false
		case html.DoctypeToken:
			gone = true
		case html.CommentToken:
			gone = strings.HasPrefix(raw, "<!--") // </3 and <?php are comments to a browser alone
		default:
			name, rest := split(raw)
			gone = elements[name] || name != "" && anyValue.MatchString(rest)
			verbatim = kind != html.EndTagToken && (name == "script" || name == "style")
			if !verbatim {
				p.z.NextIsNotRawText() // what stands in a title is looked at
			}
		}
		if gone {
			p.cut(p.pos + len(raw))
		} else if kind != html.TextToken && p.restartInside(raw) {
			continue
		}
		p.pos += len(raw)
	}
}

// tail deals with a tag that the text ends in, and reports whether to go on.
func (p *pass) tail() bool {
	raw := p.s[p.pos:]
	if raw == "" {
		return false
	}
	p.work += len(raw)
	name, rest := split(raw)
	switch {
	case name != "" && firstValue.MatchString(rest):
		p.cut(len(p.s))
		return false
	case elements[name]:
		end := len(p.s) - len(rest)
		p.cut(end)
		p.restart(end)
		return true
	default:
		return p.restartInside(raw)
	}
}

// restartInside goes on at the next < in a token that is text, if there is one.
func (p *pass) restartInside(raw string) bool {
	i := strings.IndexByte(raw[1:], '<')
	if i >= 0 {
		p.restart(p.pos + 1 + i)
	}
	return i >= 0
}

func (p *pass) restart(pos int) {
	p.pos = pos
	p.z = html.NewTokenizer(strings.NewReader(p.s[pos:]))
	p.work += restartCost
}

func (p *pass) cut(end int) {
	p.out.WriteString(p.s[p.kept:p.pos])
	p.kept = end
}

// split returns the name of a tag in lower case, "" if no element can be called
// so, and what follows the name.
func split(raw string) (name, rest string) {
	name = strings.TrimPrefix(raw[1:], "/")
	if i := strings.IndexAny(name, " \t\n\r\f/>"); i >= 0 {
		name, rest = name[:i], name[i:]
	}
	if !tagName.MatchString(name) {
		return "", rest
	}
	return strings.ToLower(name), rest
}
