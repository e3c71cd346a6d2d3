package sim

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// The directive stands in square brackets because those survive the tag
// cleaning of whatever lies between the tester and the simulator.
const (
	opening = "[[sim"
	closing = "]]"
	blank   = " \t\r\n"
)

// direct reads the directive in a prompt on top of base. It returns the prompt
// without it, and the directive as it was written ("" when there is none).
func direct(base Behaviour, prompt string) (b Behaviour, rest, said string, err error) {
	start := findDirective(prompt)
	if start < 0 {
		return base, prompt, "", nil
	}
	b, after, err := readWords(base, prompt[start+len(opening):])
	if err != nil {
		return base, prompt, "", err
	}
	rest = prompt[:start] + after
	if findDirective(rest) >= 0 {
		return base, prompt, "", errors.New("more than one directive")
	}
	if err := b.check(); err != nil {
		return base, prompt, "", err
	}
	return b, rest, prompt[start : len(prompt)-len(after)], nil
}

// findDirective finds where one starts: [[simple]] is none.
func findDirective(prompt string) int {
	for from := 0; ; {
		i := strings.Index(prompt[from:], opening)
		if i < 0 {
			return -1
		}
		start := from + i
		from = start + len(opening)
		after := prompt[from:]
		if after == "" || strings.HasPrefix(after, closing) || strings.ContainsRune(blank, rune(after[0])) {
			return start
		}
	}
}

// readWords reads words up to the closing brackets and returns what follows.
func readWords(b Behaviour, p string) (_ Behaviour, after string, err error) {
	seen := map[string]bool{}
	for {
		p = strings.TrimLeft(p, blank)
		if after, ok := strings.CutPrefix(p, closing); ok {
			return b, after, nil
		}
		name, rest := splitName(p)
		switch {
		case p == "":
			return b, "", fmt.Errorf("%s is not closed by %s", opening, closing)
		case name == "":
			return b, "", fmt.Errorf("want a word at %.20q", p)
		case seen[name]:
			return b, "", fmt.Errorf("%s is said twice", name)
		}
		seen[name] = true
		w, err := findWord(name)
		if err != nil {
			return b, "", err
		}
		value, rest, err := splitValue(rest)
		switch {
		case err != nil:
			return b, "", fmt.Errorf("%s: %w", name, err)
		case value == "" && !w.flag:
			return b, "", fmt.Errorf("%s needs a value: %s=…", name, name)
		case value == "":
			value = "true"
		}
		if err := w.set(&b, value); err != nil {
			return b, "", fmt.Errorf("%s=%s: %w", name, value, err)
		}
		p = rest
	}
}

func splitName(p string) (name, rest string) {
	n := strings.IndexFunc(p, func(r rune) bool { return r != '_' && (r < 'a' || r > 'z') })
	if n < 0 {
		n = len(p)
	}
	return p[:n], p[n:]
}

// splitValue reads "=value" if it is there; the value is never empty then.
func splitValue(p string) (value, rest string, err error) {
	p, ok := strings.CutPrefix(p, "=")
	if !ok {
		return "", p, atBoundary(p)
	}
	if strings.HasPrefix(p, `"`) {
		quoted, err := strconv.QuotedPrefix(p)
		if err != nil {
			return "", "", errors.New("the quote is not closed")
		}
		value, err = strconv.Unquote(quoted)
		rest = p[len(quoted):]
		if err == nil && value == "" {
			err = errors.New("the value is empty")
		}
		return value, rest, errors.Join(err, atBoundary(rest))
	}
	end := strings.IndexAny(p, blank)
	if end < 0 {
		end = len(p)
	}
	if i := strings.Index(p[:end], closing); i >= 0 {
		end = i
	}
	if end == 0 {
		return "", "", errors.New("the value is empty")
	}
	return p[:end], p[end:], nil
}

func atBoundary(p string) error {
	if p == "" || strings.ContainsRune(blank, rune(p[0])) || strings.HasPrefix(p, closing) {
		return nil
	}
	return fmt.Errorf("want a space at %.20q", p)
}

// quoteWord writes a value so that splitValue reads it.
func quoteWord(value string) string {
	if strings.ContainsAny(value, blank+`"`) || strings.Contains(value, "]") {
		return strconv.Quote(value)
	}
	return value
}
