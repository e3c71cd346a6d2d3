package auth

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// maxHeader bounds the one part that is taken apart before the signature is
// checked. Real ones have 30 to 200 bytes.
const maxHeader = 2 << 10

// headerNames are the members of a JOSE header that some library somewhere
// gives a meaning. A case variant of one is refused.
var headerNames = names("alg", "b64", "crit", "cty", "enc", "jku", "jwk", "kid", "typ", "x5c", "x5t", "x5t#S256", "x5u", "zip")

// inspect refuses a token whose form or header is not exactly what we expect,
// before any cryptography. Members that point at keys (jku, jwk, x5u, x5c) are
// never followed: the key comes from our own settings.
func inspect(token string, algs []string, needKid bool) error {
	if strings.Count(token, ".") != 2 {
		return errors.New("not three parts")
	}
	// Go's decoder skips line breaks even in strict mode; the alphabet is closed here.
	if i := strings.IndexFunc(token, foreign); i >= 0 {
		return fmt.Errorf("byte %d is not base64url", i)
	}
	part, _, _ := strings.Cut(token, ".")
	if len(part) > maxHeader {
		return fmt.Errorf("a header of %d bytes; at most %d", len(part), maxHeader)
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(part)
	if err != nil {
		return errors.New("the header is not strict base64url")
	}
	header, err := readObject(raw, headerNames)
	if err != nil {
		return fmt.Errorf("header: %w", err)
	}
	return checkHeader(header, algs, needKid)
}

func foreign(r rune) bool {
	switch {
	case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_', r == '.':
		return false
	}
	return true
}

func checkHeader(header object, algs []string, needKid bool) error {
	alg, _, err := header.text("alg")
	if err != nil {
		return err
	}
	if !slices.Contains(algs, alg) {
		return fmt.Errorf("alg is not %s", strings.Join(algs, ", "))
	}
	// Extensions a verifier must understand; we know none (RFC 7515 §4.1.11).
	// golang-jwt ignores the member.
	if _, present := header["crit"]; present {
		return errors.New("header: crit is not supported")
	}
	typ, present, err := header.text("typ")
	if err != nil {
		return err
	}
	if present && !strings.EqualFold(typ, "JWT") && !strings.EqualFold(typ, "at+jwt") {
		return errors.New("header: typ is neither JWT nor at+jwt")
	}
	kid, present, err := header.text("kid")
	if err != nil {
		return err
	}
	if present || needKid {
		// keyfunc would try every key for a token without one.
		if err := plainText(kid); err != nil {
			return fmt.Errorf("header: kid: %w", err)
		}
	}
	return nil
}
