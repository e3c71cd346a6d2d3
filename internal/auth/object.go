package auth

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/golang-jwt/jwt/v5"
)

// object is a JSON object, read strictly: no duplicate names at any depth, no
// two names that differ only in case, valid UTF-8, nothing after it.
type object map[string]jsontext.Value

// readObject reads data, which must outlive the result. known maps the folded
// form of names that matter to their exact spelling, the only one allowed: for
// encoding/json, and so for golang-jwt, "SUB" is as good as "sub".
func readObject(data []byte, known map[string]string) (object, error) {
	d := jsontext.NewDecoder(bytes.NewBuffer(data))
	if start, err := d.ReadToken(); err != nil || start.Kind() != '{' {
		return nil, errors.New("not a JSON object")
	}
	members, spelt := object{}, map[string]bool{}
	for d.PeekKind() != '}' {
		token, err := d.ReadToken()
		if err != nil {
			return nil, malformed(err)
		}
		name := token.String()
		value, err := d.ReadValue()
		if err != nil {
			return nil, malformed(err)
		}
		folded := fold(name)
		if exact, ok := known[folded]; spelt[folded] || ok && exact != name {
			return nil, errors.New("a member name that differs from another only in case")
		}
		end := int(d.InputOffset())
		spelt[folded], members[name] = true, data[end-len(value):end]
	}
	if _, err := d.ReadToken(); err != nil {
		return nil, malformed(err)
	}
	if _, err := d.ReadToken(); err != io.EOF {
		return nil, errors.New("data after the JSON object")
	}
	return members, nil
}

// malformed keeps the token's bytes out of the log: syntax errors quote them.
func malformed(err error) error {
	if errors.Is(err, jsontext.ErrDuplicateName) {
		return jsontext.ErrDuplicateName
	}
	if e, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		return fmt.Errorf("malformed JSON at byte %d", e.ByteOffset)
	}
	return errors.New("malformed JSON")
}

// fold maps all spellings that strings.EqualFold calls equal to one string. It
// is Unicode's folding, as encoding/json's is: "ſub" reads as "sub" there.
func fold(name string) string {
	return strings.Map(func(r rune) rune {
		for next := unicode.SimpleFold(r); next > r; next = unicode.SimpleFold(r) {
			r = next
		}
		return r
	}, name)
}

func names(exact ...string) map[string]string {
	known := make(map[string]string, len(exact))
	for _, name := range exact {
		known[fold(name)] = name
	}
	return known
}

// text returns a string member. A member of another type, null included, is an
// error, not an absence.
func (o object) text(name string) (value string, present bool, err error) {
	raw, present := o[name]
	if !present {
		return "", false, nil
	}
	value, err = unquote(raw)
	if err != nil {
		return "", true, fmt.Errorf("%s: %w", name, err)
	}
	return value, true, nil
}

func unquote(raw jsontext.Value) (string, error) {
	if raw.Kind() != '"' {
		return "", errors.New("not a string")
	}
	value, err := jsontext.AppendUnquote(nil, []byte(raw))
	return string(value), err
}

// texts returns a member that is a string or an array of strings (RFC 7519 §4.1.3).
func (o object) texts(name string) ([]string, error) {
	raw, present := o[name]
	if !present {
		return nil, nil
	}
	if raw.Kind() == '"' {
		value, err := unquote(raw)
		return []string{value}, err
	}
	if raw.Kind() != '[' {
		return nil, fmt.Errorf("%s: neither a string nor an array of strings", name)
	}
	var values []string
	d := jsontext.NewDecoder(bytes.NewBuffer(raw))
	if _, err := d.ReadToken(); err != nil {
		return nil, malformed(err)
	}
	for d.PeekKind() != ']' {
		item, err := d.ReadValue()
		if err != nil {
			return nil, malformed(err)
		}
		value, err := unquote(item)
		if err != nil {
			return nil, fmt.Errorf("%s: an item is %w", name, err)
		}
		values = append(values, value)
	}
	return values, nil
}

// date returns a NumericDate (RFC 7519 §2), or nil when there is none. It must be
// a number between 1970 and the year 5138: the library takes any float64, and
// converts 1e300 to whatever an int64 makes of it.
func (o object) date(name string) (*jwt.NumericDate, error) {
	raw, present := o[name]
	if !present {
		return nil, nil
	}
	if raw.Kind() != '0' {
		return nil, fmt.Errorf("%s: not a number", name)
	}
	seconds, err := strconv.ParseFloat(string(raw), 64)
	if err != nil || !(seconds >= 0 && seconds <= 1e11) {
		return nil, fmt.Errorf("%s: out of range", name)
	}
	whole, part := math.Modf(seconds)
	return &jwt.NumericDate{Time: time.Unix(int64(whole), int64(part*1e9)).UTC()}, nil
}

// find follows a claim path: the whole path as one name first (names such as
// "https://example.com/plan" have dots in them), then dot by dot.
func (o object) find(path string) (jsontext.Value, error) {
	if value, ok := o[path]; ok {
		return value, nil
	}
	head, rest, dotted := strings.Cut(path, ".")
	raw, ok := o[head]
	if !dotted || !ok || raw.Kind() == 'n' {
		return nil, nil
	}
	inner, err := readObject(raw, nil)
	if err != nil {
		return nil, err
	}
	return inner.find(rest)
}

// plainText holds names and ids to 1–256 bytes without control characters, so
// that they can stand in a log line, a database key or a page.
func plainText(s string) error {
	switch {
	case s == "":
		return errors.New("missing or empty")
	case len(s) > 256:
		return errors.New("longer than 256 bytes")
	case !utf8.ValidString(s):
		return errors.New("not valid UTF-8")
	case strings.ContainsFunc(s, unicode.IsControl):
		return errors.New("has control characters")
	}
	return nil
}
