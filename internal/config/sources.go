package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/joho/godotenv"
)

const maxFile = 64 << 10 // bytes of .env, and of a secret's file

// inputs is what there is to read, and what was chosen of it.
type inputs struct {
	shell  map[string]string // the process's environment, without empty values
	dotEnv map[string]string // the file, likewise
	chosen map[string]string // by setting
}

// gather finds each setting's value: in the environment, in .env, in a file that
// one of the two names (secrets only), in Dev's own defaults.
func (l *Loaded) gather(environ []string, dir string) inputs {
	in := inputs{shell: environment(environ), dotEnv: l.readDotEnv(dir), chosen: map[string]string{}}
	for _, s := range settings(&l.Config) {
		value, source := in.pick(s.name)
		if s.secret {
			value, source = l.pickSecret(in, s.name, value, source, dir)
		}
		if value == "" && l.mode == Dev && s.dev != "" {
			value = s.dev
		}
		l.Sources[s.name] = source
		if value != "" {
			in.chosen[s.name] = value
		}
	}
	return in
}

// pick finds a name. An empty value is none: compose files produce them.
func (in inputs) pick(name string) (string, Source) {
	if v := in.shell[name]; v != "" {
		return v, FromEnvironment
	}
	if v := in.dotEnv[name]; v != "" {
		return v, FromDotEnv
	}
	return "", FromDefault
}

func fromFile(name string) Source { return Source("file " + name + "_FILE") }

// pickSecret takes the file's content instead, if a file is named. It never
// says which: someone may have put the secret itself there.
func (l *Loaded) pickSecret(in inputs, name, value string, source Source, dir string) (string, Source) {
	path, pathSource := in.pick(name + "_FILE")
	if path == "" {
		return value, source
	}
	l.Sources[name+"_FILE"] = pathSource
	if value != "" {
		l.problem(name, fmt.Sprintf("%s is set (%s), and so is %s_FILE (%s): only one of them may be", name, source, name, pathSource), "unset "+name)
		return "", fromFile(name)
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(dir, path)
	}
	content, err := readBounded(path)
	secret := string(bytes.TrimSpace(content))
	if err == nil && secret == "" {
		err = errors.New("is empty")
	}
	if err != nil {
		l.problem(name, fmt.Sprintf("the file that %s_FILE names %v", name, err), name+"_FILE=/run/secrets/"+strings.ToLower(name))
	}
	return secret, fromFile(name)
}

// environment makes a map of NAME=value lines. The first of a name counts, as
// it does for getenv.
func environment(environ []string) map[string]string {
	shell := map[string]string{}
	for _, line := range environ {
		name, value, ok := strings.Cut(line, "=")
		if _, known := shell[name]; ok && !known && name != "" {
			shell[name] = value
		}
	}
	return withoutEmpty(shell)
}

// readDotEnv reads .env into a map and nowhere else: in the process's own
// environment its secrets would reach every child and every crash report.
func (l *Loaded) readDotEnv(dir string) map[string]string {
	content, err := readBounded(filepath.Join(dir, ".env"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		l.problem(".env", ".env "+err.Error(), "NAME='value'")
		return nil
	}
	values, err := godotenv.UnmarshalBytes(content)
	if _, nameless := values[""]; err != nil || nameless {
		// godotenv's error repeats the rest of the file.
		l.problem(".env", ".env has a line that is not NAME=value"+badLine(content), "NAME='value'")
		return nil
	}
	for _, s := range settings(&l.Config) {
		_, budget := s.value.Interface().(Budget)
		switch {
		case s.secret && expanded(content, s.name):
			l.problem(s.name, fmt.Sprintf("%s stands in .env with a $ that is read as a variable, which changes it: put the value in single quotes", s.name), s.name+"='<the secret>'")
		case budget && expanded(content, s.name): // BUDGET_MONTH=$5 would be no value, and so the default
			l.problem(s.name, fmt.Sprintf("%s stands in .env with a $ that is read as a variable: leave it out", s.name), s.name+"=<dollars>")
		}
	}
	return withoutEmpty(values)
}

func withoutEmpty(values map[string]string) map[string]string {
	maps.DeleteFunc(values, func(_, value string) bool { return value == "" })
	return values
}

// expanded reports whether .env's value of name has a $ that godotenv replaces.
func expanded(content []byte, name string) bool {
	at := regexp.MustCompile(`(?m)^[ \t]*(?:export[ \t]+)?` + name + `[ \t]*[=:][ \t]*([^'\s].*)$`)
	for _, m := range at.FindAllSubmatch(content, -1) {
		if dollar.Match(m[1]) {
			return true
		}
	}
	return false
}

var dollar = regexp.MustCompile(`\\\$|\$\(|\$\{?[A-Z0-9_]`)

// badLine says which is the first line that godotenv cannot read. A value in quotes may
// span lines, so a piece that does not parse is given the lines up to a closing
// quote before it is called bad.
func badLine(content []byte) string {
	lines := strings.SplitAfter(string(content), "\n")
	for from := 0; from < len(lines); {
		to := from + 1
		for to < len(lines) && !parses(lines[from:to]) {
			for to < len(lines) && !strings.ContainsAny(lines[to], `"'`) {
				to++
			}
			to++
		}
		if !parses(lines[from:min(to, len(lines))]) {
			return fmt.Sprintf(": line %d", from+1)
		}
		from = to
	}
	return "" // each piece can be read, only not together
}

func parses(lines []string) bool {
	values, err := godotenv.Unmarshal(strings.Join(lines, ""))
	_, nameless := values[""]
	return err == nil && !nameless
}

// readBounded reads a small file. Its errors say what is wrong, without the path.
func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, notThere{}
	case errors.Is(err, fs.ErrPermission):
		return nil, errors.New("may not be read by this user")
	case err != nil:
		return nil, errors.New("cannot be opened")
	}
	defer f.Close()
	content, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	switch {
	case err != nil:
		return nil, errors.New("cannot be read (is it a folder?)")
	case len(content) > maxFile:
		return nil, fmt.Errorf("is larger than %d KiB", maxFile>>10)
	}
	return content, nil
}

// notThere is fs.ErrNotExist without the path.
type notThere struct{}

func (notThere) Error() string        { return "does not exist" }
func (notThere) Is(target error) bool { return target == fs.ErrNotExist }
