package auth

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/MicahParks/jwkset"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

const minRSA = 2048 // bits: RFC 7518 §3.3

// readKeys takes the keys out of a published set that may verify a token, and
// says why it left the others. One odd key does not spoil the rest; a document
// that is not a key set is an error.
func readKeys(document []byte) (keys []jwkset.JWK, refused []error, err error) {
	var set struct {
		Keys *[]jsontext.Value `json:"keys"`
	}
	if err := json.Unmarshal(document, &set); err != nil {
		return nil, nil, fmt.Errorf("the answer is not a JSON Web Key Set: %w", malformed(err))
	}
	if set.Keys == nil {
		return nil, nil, errors.New(`the answer is not a JSON Web Key Set: it has no "keys"`)
	}
	taken := map[string]bool{}
	for i, raw := range *set.Keys {
		key, err := readKey(raw)
		if kid := key.Marshal().KID; err == nil && taken[kid] {
			err = errors.New("its kid is already taken")
		}
		if err != nil {
			refused = append(refused, fmt.Errorf("key %d: %w", i+1, err))
			continue
		}
		taken[key.Marshal().KID] = true
		keys = append(keys, key)
	}
	return keys, refused, nil
}

// readKey accepts the three kinds of public key that we verify with. "oct" is
// not among them: an HMAC key that stands in a public document is no secret.
func readKey(raw jsontext.Value) (jwkset.JWK, error) {
	var m jwkset.JWKMarshal
	if err := json.Unmarshal(raw, &m); err != nil {
		return jwkset.JWK{}, errors.New("malformed")
	}
	if err := plainText(m.KID); err != nil {
		return jwkset.JWK{}, fmt.Errorf("kid: %w", err)
	}
	alg, err := algOf(m)
	if err != nil {
		return jwkset.JWK{}, err
	}
	switch {
	case m.ALG != "" && m.ALG != alg:
		return jwkset.JWK{}, fmt.Errorf("alg is not %s", alg)
	case m.USE != "" && m.USE != jwkset.UseSig:
		return jwkset.JWK{}, errors.New("use is not sig")
	case len(m.KEYOPS) > 0 && !slices.Contains(m.KEYOPS, jwkset.KeyOpsVerify):
		return jwkset.JWK{}, errors.New("key_ops does not have verify")
	case m.D != "":
		return jwkset.JWK{}, errors.New("it is a published private key: anyone could sign with it")
	}
	m.ALG = alg // so that keyfunc holds the token to it
	// Certificates are not used, so their oddities must not cost us the key.
	m.X5C, m.X5T, m.X5TS256, m.X5U = nil, "", "", ""
	key, err := jwkset.NewJWKFromMarshal(m, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{})
	if err != nil {
		return jwkset.JWK{}, errors.New("its parameters are not valid")
	}
	return key, checkKey(key.Key())
}

// algOf maps a key to the one algorithm it may be used with.
func algOf(m jwkset.JWKMarshal) (jwkset.ALG, error) {
	switch {
	case m.KTY == jwkset.KtyRSA:
		return jwkset.AlgRS256, nil
	case m.KTY == jwkset.KtyEC && m.CRV == jwkset.CrvP256:
		// jwkset panics on a coordinate that does not fit the curve.
		if !fits(m.X, 32) || !fits(m.Y, 32) {
			return "", errors.New("its point does not fit P-256")
		}
		return jwkset.AlgES256, nil
	case m.KTY == jwkset.KtyOKP && m.CRV == jwkset.CrvEd25519:
		return jwkset.AlgEdDSA, nil
	}
	return "", errors.New("neither RSA, EC on P-256 nor Ed25519")
}

func fits(coordinate string, size int) bool {
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(coordinate, "="))
	return err == nil && len(raw) <= size
}

func checkKey(key any) error {
	switch key := key.(type) {
	case *rsa.PublicKey:
		if key.N.BitLen() < minRSA {
			return fmt.Errorf("an RSA key of %d bits; at least %d", key.N.BitLen(), minRSA)
		}
		if key.E < 3 || key.E%2 == 0 {
			return errors.New("its RSA exponent is not valid")
		}
		return nil
	case *ecdsa.PublicKey:
		if _, err := key.ECDH(); err != nil {
			return errors.New("its point is not on P-256")
		}
		return nil
	case ed25519.PublicKey:
		return nil
	}
	return errors.New("not a public key")
}
