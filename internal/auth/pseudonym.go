package auth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"

	"keyshield/internal/secret"
)

// pseudonyms gives users names that tell nothing to whoever gets to see them:
// OpenAI (as safety_identifier) and the tables of the limiters. The issuer is
// part of it, so that two providers' "1" are two people; its length stands in
// front, so that no two pairs run into one.
//
// The key has nothing to do with the tokens' secret, whose rotation must not make
// every user a new one.
type pseudonyms struct{ key secret.String }

const pseudonymKeySize = 32

// newPseudonyms uses key, or random bytes if there is none: then the names last
// as long as the process.
func newPseudonyms(key secret.String) pseudonyms {
	if key.IsZero() {
		random := make([]byte, pseudonymKeySize)
		rand.Read(random)
		key = secret.New(string(random))
	}
	return pseudonyms{key}
}

// Pseudonym is the name of a user under key, as a Caller has it.
func Pseudonym(key secret.String, issuer, id string) string { return pseudonyms{key}.of(issuer, id) }

func (p pseudonyms) of(issuer, id string) string {
	mac := hmac.New(sha256.New, []byte(p.key.Reveal()))
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(len(issuer))))
	mac.Write([]byte(issuer))
	mac.Write([]byte(id))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}
