package config

import (
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"

	"keyshield/internal/secret"
	"keyshield/internal/upstream/source"
)

// maxKeys is how many keys there may be at once: more are a mistake.
const maxKeys = 16

// KeySource is where keys are fetched from: a kind, and what it calls the secret.
type KeySource struct {
	Kind string // aws-sm, gcp-sm, doppler; "" is none
	Name string
}

// UnmarshalText reads <kind>:<name>.
func (s *KeySource) UnmarshalText(text []byte) error {
	kind, name, _ := strings.Cut(string(text), ":")
	form := keySources[kind]
	if form == nil {
		return &fault{"must begin with aws-sm:, gcp-sm: or doppler:", "OPENAI_KEY_SOURCE=aws-sm:prod/openai"}
	}
	if !form.shape.MatchString(name) {
		return &fault{fmt.Sprintf("must be %s:%s", kind, form.wants), "OPENAI_KEY_SOURCE=" + kind + ":" + form.example}
	}
	s.Kind, s.Name = kind, name
	return nil
}

func (s KeySource) String() string {
	if s.Kind == "" {
		return ""
	}
	return s.Kind + ":" + s.Name
}

var keySources = map[string]*struct {
	shape          *regexp.Regexp
	wants, example string
}{
	"aws-sm":  {regexp.MustCompile(`^[A-Za-z0-9/_+=.@:-]{1,512}$`), "<secret's name or ARN>", "prod/openai"},
	"gcp-sm":  {regexp.MustCompile(`^projects/[a-z0-9.:-]{1,64}/secrets/[A-Za-z0-9_-]{1,255}$`), "projects/<project>/secrets/<secret>", "projects/my-project/secrets/openai"},
	"doppler": {regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}/[A-Za-z0-9_.-]{1,128}$`), "<project>/<config>", "backend/prd"},
}

// Keys are what of the environment is a key, the first to be used first.
func (o OpenAI) AllKeys() []secret.String {
	var all []secret.String
	if !o.Key.IsZero() {
		all = append(all, o.Key)
	}
	for _, k := range splitKeys(o.Keys.Reveal()) {
		if !o.Key.Equal(k) {
			all = append(all, secret.New(k))
		}
	}
	return all
}

func splitKeys(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == '\n' || r == '\r' || r == ' ' || r == '\t' })
}

// readKeyFiles takes the keys out of files: there may be several in each, as when one
// is being replaced by another, in every form that is read while the server runs.
func (l *Loaded) readKeyFiles() {
	c := &l.Config.OpenAI
	var found []secret.String
	for name, value := range map[string]*secret.String{"OPENAI_API_KEY": &c.Key, "OPENAI_API_KEYS": &c.Keys} {
		if l.Sources[name] != fromFile(name) || !l.sound(name) {
			continue
		}
		keys, err := source.Parse([]byte(value.Reveal()))
		if err != nil {
			l.problem(name, fmt.Sprintf("the file that %s_FILE names %v", name, err), name+"_FILE=/run/secrets/"+strings.ToLower(name))
			continue
		}
		if *value = keys[0]; name == "OPENAI_API_KEYS" {
			*value = joined(keys)
		} else {
			found = keys[1:]
		}
	}
	if len(found) > 0 {
		c.Keys = joined(append(found, splitAll(c.Keys)...))
	}
}

func joined(keys []secret.String) secret.String {
	texts := make([]string, len(keys))
	for i, k := range keys {
		texts[i] = k.Reveal()
	}
	return secret.New(strings.Join(texts, ","))
}

func splitAll(keys secret.String) (all []secret.String) {
	for _, k := range splitKeys(keys.Reveal()) {
		all = append(all, secret.New(k))
	}
	return all
}

// checkKeys looks at what there is besides OPENAI_API_KEY.
func (l *Loaded) checkKeys(in inputs, dir string) {
	const name = "OPENAI_API_KEYS"
	c := &l.Config.OpenAI
	keys := splitKeys(c.Keys.Reveal())
	switch {
	case !l.sound(name):
	case len(c.AllKeys()) > maxKeys:
		l.problem(name, fmt.Sprintf("%s and OPENAI_API_KEY together hold %d keys; there may be %d", name, len(c.AllKeys()), maxKeys), name+"=<key>,<key>")
	default:
		for i, key := range keys {
			if why := spoiltKey(key); why != "" {
				l.problem(name, fmt.Sprintf("%s: the key at place %d %s", name, i+1, why), name+"=<key>,<key>, without quotes")
				break
			}
		}
	}
	if c.Source.Kind != "" && len(c.AllKeys()) > 0 {
		l.problem("OPENAI_KEY_SOURCE", "OPENAI_KEY_SOURCE is set, and so is OPENAI_API_KEY or OPENAI_API_KEYS: only one of them may be, or nobody knows which key is in force", "unset OPENAI_API_KEY")
	}
	if u, err := url.Parse(c.SourceURL); c.SourceURL != "" && (err != nil || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Scheme != "https" && !(u.Scheme == "http" && isLoopback(u.Hostname()))) {
		l.problem("OPENAI_KEY_SOURCE_URL", "OPENAI_KEY_SOURCE_URL must be https://host (http is for this machine only), without a user or a query", "OPENAI_KEY_SOURCE_URL=https://secrets.example.com")
	}
	if (c.Source.Kind == "doppler") != !c.DopplerToken.IsZero() && l.sound("OPENAI_KEY_SOURCE") {
		l.problem("DOPPLER_TOKEN", "DOPPLER_TOKEN and OPENAI_KEY_SOURCE=doppler:… go together", "DOPPLER_TOKEN=<a service token of that config>")
	}
	for _, n := range []string{"OPENAI_API_KEY", name} {
		if path, _ := in.pick(n + "_FILE"); path != "" && l.Sources[n] == fromFile(n) && l.sound(n) {
			if !filepath.IsAbs(path) {
				path = filepath.Join(dir, path)
			}
			l.Config.KeyFiles = append(l.Config.KeyFiles, path)
		}
	}
}
