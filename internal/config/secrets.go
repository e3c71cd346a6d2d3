package config

import (
	"strings"

	"keyshield/internal/secret"
)

const (
	minKey = 20 // characters of an API key; real ones have 50 and more
	maxKey = 512
)

// checkKey looks for the ways an API key gets spoilt between a web page and a
// variable. No message shows any of it.
func (l *Loaded) checkKey() {
	const name = "OPENAI_API_KEY"
	key := l.Config.OpenAI.Key.Reveal()
	if !l.sound(name) {
		return
	}
	if key == "" {
		if l.mode == Serve && l.Config.OpenAI.Keys.IsZero() && l.Config.OpenAI.Source.Kind == "" {
			l.problem(name, name+" is missing: make one at https://platform.openai.com/api-keys, for this server alone", name+"=<your key>, or "+name+"_FILE=<a file with it>")
		}
		return
	}
	if why := spoiltKey(key); why != "" {
		if l.mode == Dev && l.FromShell(name) {
			l.warn(name + " " + why + ". It is not used.") // dev would not by itself, and shall start
			l.Config.OpenAI.Key = secret.String{}
			return
		}
		l.problem(name, name+" "+why, name+"=<your key>, on one line and without quotes")
		return
	}
	if strings.HasPrefix(l.Config.OpenAI.BaseURL, "https://api.openai.com/") && !strings.HasPrefix(key, "sk-") {
		l.warn(name + " does not begin with sk-, as OpenAI's keys do.")
	}
}

func spoiltKey(key string) string {
	switch {
	case key != strings.TrimSpace(key):
		return "begins or ends with white space or a line break: copy it again, without"
	case unquoted(key) != key:
		return "is in quotes, which are taken for a part of it here: remove them"
	case strings.HasPrefix(strings.ToLower(key), "bearer "):
		return "begins with Bearer: leave that word out"
	case strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		return "contains white space or a line break: it must be one word on one line"
	case strings.ContainsFunc(key, func(r rune) bool { return r > 0x7e }):
		return "contains a character that no key has (a dash or a quotation mark turned typographic?): copy it again"
	case strings.HasPrefix(key, "sk-admin-"):
		return "is an admin key, which can do far more than is needed here: make an ordinary one"
	case placeholder(key):
		return "is still the example's placeholder: put your own key there"
	case len(key) < minKey:
		return "is too short to be a whole key"
	case len(key) > maxKey:
		return "is too long to be a key"
	}
	return ""
}

// placeholder recognises what stands in templates. Only words so long, or so
// unlike a key, that no random key holds them.
func placeholder(v string) bool {
	v = strings.ToLower(v)
	for _, word := range []string{
		"...", "…", "<", ">", "your-", "your_", "-here", "_here", "change-me", "change_me", "changeme", "change-this",
		"replace-", "replace_", "replaceme", "placeholder", "example", "xxxxxxxx", "************", "supersecret", "super-secret", "my-secret", "mysecret",
	} {
		if strings.Contains(v, word) {
			return true
		}
	}
	return false
}

// checkSecret looks for what a signing secret must not be and auth cannot see:
// how strong it is, auth says.
func (l *Loaded) checkSecret() {
	const name = "JWT_SECRET"
	v := l.Config.Identity.Secret.Reveal()
	var why string
	switch {
	case v == "" || !l.sound(name):
	case v != strings.TrimSpace(v):
		why = "begins or ends with white space or a line break: whoever signs the tokens will hardly have that too"
	case unquoted(v) != v:
		why = "is in quotes, which are taken for a part of it here: remove them"
	case strings.Contains(v, "-----BEGIN") || strings.Contains(v, `"kty"`):
		why = "is a key file: as a shared secret, a public key would let everyone sign. Such tokens need JWT_JWKS_URL or AUTH_PROVIDER instead"
	case strings.HasPrefix(v, "sk-") || l.Config.OpenAI.Key.Equal(v):
		why = "is an OpenAI key: whoever can sign tokens could then also spend, and the other way round"
	}
	if why != "" {
		l.problem(name, name+" "+why, freshSecretLine)
	}
}

const freshSecretLine = "JWT_SECRET=<at least 32 random bytes; keyshield check prints a fresh line>"
