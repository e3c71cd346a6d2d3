package source

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"keyshield/internal/secret"
	"keyshield/internal/upstream"
)

// maxPayload bounds a secret: sixteen keys are far shorter, and no vault takes more.
const maxPayload = 64 << 10

var (
	errNoKeys = errors.New("holds no key")
	errForm   = errors.New(`must be one key per line, or a JSON object with "keys" or "OPENAI_API_KEY"`)
)

// parse reads keys: one per line, or separated by commas, with comments from a # on;
// or a JSON object in which "keys" and "OPENAI_API_KEYS" hold an array of them or such
// lines, and "OPENAI_API_KEY" one. Its other members are somebody else's.
func parse(payload []byte) ([]secret.String, error) {
	payload = bytes.TrimSpace(bytes.TrimPrefix(payload, []byte("\ufeff")))
	switch {
	case len(payload) == 0:
		return nil, errNoKeys
	case payload[0] == '{':
		return parseObject(payload)
	case payload[0] == '<' || payload[0] == '[':
		return nil, errForm
	}
	return check(lines(string(payload)))
}

func parseObject(payload []byte) ([]secret.String, error) {
	var object struct {
		Keys   jsontext.Value `json:"keys"`
		APIKey jsontext.Value `json:"OPENAI_API_KEY"`
		More   jsontext.Value `json:"OPENAI_API_KEYS"`
	}
	if json.Unmarshal(payload, &object) != nil {
		return nil, errors.New("is no valid JSON")
	}
	var all []string
	for _, member := range []jsontext.Value{object.Keys, object.APIKey, object.More} {
		keys, err := parseMember(member)
		if err != nil {
			return nil, err
		}
		all = append(all, keys...)
	}
	return check(all)
}

func parseMember(v jsontext.Value) (keys []string, err error) {
	switch v.Kind() {
	case 0, 'n': // absent, or null
		return nil, nil
	case '[':
		err = json.Unmarshal(v, &keys)
	case '"':
		var text string
		err = json.Unmarshal(v, &text)
		keys = lines(text)
	default:
		return nil, errForm
	}
	if err != nil {
		return nil, errForm
	}
	return keys, nil
}

// lines returns what stands between line ends and commas, without comments. A space
// stays, so that a sentence is no list of keys.
func lines(text string) (words []string) {
	for line := range strings.SplitSeq(text, "\n") {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "#") {
			continue
		}
		if i := strings.IndexAny(line, " \t"); i >= 0 && strings.HasPrefix(strings.TrimSpace(line[i:]), "#") {
			line = line[:i]
		}
		for word := range strings.SplitSeq(line, ",") {
			if word = strings.TrimSpace(word); word != "" {
				words = append(words, word)
			}
		}
	}
	return words
}

// check makes keys of words, each once.
func check(words []string) ([]secret.String, error) {
	var keys []secret.String
	for i, word := range words {
		k := secret.New(word)
		if err := upstream.CheckKey(k); err != nil {
			return nil, fmt.Errorf("the key at place %d %w", i+1, err)
		}
		if strings.ContainsAny(word, "\"'<>{}") || strings.HasPrefix(word, "OPENAI_API_KEY") {
			return nil, fmt.Errorf("the key at place %d has something around it: put the key alone, without quotes or a name", i+1)
		}
		if !contains(keys, k) {
			keys = append(keys, k)
		}
		if len(keys) > upstream.MaxKeys {
			return nil, fmt.Errorf("holds more than %d keys", upstream.MaxKeys)
		}
	}
	if len(keys) == 0 {
		return nil, errNoKeys
	}
	return keys, nil
}

func contains(keys []secret.String, k secret.String) bool {
	for _, other := range keys {
		if other.Equal(k.Reveal()) {
			return true
		}
	}
	return false
}

// keysOf is parse for a source: s names it, and what is wrong with it.
func keysOf(s Source, payload []byte) ([]upstream.Key, error) {
	secrets, err := parse(payload)
	if err != nil {
		return nil, fmt.Errorf("%s: what it holds is no set of keys: it %w", s, err)
	}
	keys := make([]upstream.Key, len(secrets))
	for i, k := range secrets {
		keys[i] = upstream.Key{Secret: k, Source: s.String()}
	}
	return keys, nil
}
