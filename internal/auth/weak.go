package auth

import (
	"fmt"
	"strings"

	"keyshield/internal/secret"
)

const minSecret = 32 // bytes: RFC 7518 §3.2, a key at least as long as the hash

// placeholders are what documentation, templates and generators of example code
// put where a secret belongs, without case and punctuation. Everyone has them.
var placeholders = []string{
	"your256bitsecret", "yoursecret", "yourjwtsecret", "yoursupersecret", "asecretatleast", "astringsecret", "supersecretjwttoken",
	"mysecret", "topsecret", "jwtsecret", "secretkey", "changeme", "changethis", "replaceme", "replacethis", "placeholder",
	"insertyour", "putyour", "keyboardcat", "shhhh", "iloveyou", "password", "passphrase", "qwertyuiop",
}

// weakness says what is wrong with a signing secret, without quoting any of it.
// Whoever has one token can try secrets offline, millions a second: only
// randomness helps, so the checks look for its absence.
func weakness(key secret.String) []error {
	value := key.Reveal()
	var why string
	switch {
	case len(value) < minSecret:
		why = fmt.Sprintf("has %d bytes; it needs at least %d", len(value), minSecret)
	case distinct(value) < 8:
		why = "is made of too few different characters"
	case repeats(value):
		why = "is a shorter text repeated"
	case counts(value):
		why = "is mostly the alphabet or digits in order"
	case wellKnown(value):
		why = "contains a well-known placeholder"
	default:
		return nil
	}
	return []error{fmt.Errorf("JWT_SECRET %s; anyone could sign tokens with a guessed secret. Put a random one in its place: keyshield check prints a fresh line", why)}
}

func distinct(s string) int {
	var seen [256]bool
	n := 0
	for i := range len(s) {
		if !seen[s[i]] {
			seen[s[i]] = true
			n++
		}
	}
	return n
}

// repeats reports whether some period of at most half the length explains the
// whole text: s is found in itself, shifted.
func repeats(s string) bool {
	for period := 1; period <= len(s)/2; period++ {
		if s[period:] == s[:len(s)-period] {
			return true
		}
	}
	return false
}

// counts reports whether most bytes follow their neighbour by one.
func counts(s string) bool {
	steps := 0
	for i := 1; i < len(s); i++ {
		if s[i] == s[i-1]+1 || s[i] == s[i-1]-1 {
			steps++
		}
	}
	return steps*2 > len(s)
}

func wellKnown(s string) bool {
	plain := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, strings.ToLower(s))
	for _, known := range placeholders {
		if strings.Contains(plain, known) {
			return true
		}
	}
	return false
}
