package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// checkNames warns of a variable that is almost one of ours: its value has no
// effect, and whoever set it believes it has. Only names are shown.
func (l *Loaded) checkNames(in inputs) {
	var ours []string
	for _, s := range settings(&l.Config) {
		ours = append(ours, s.name)
		if s.secret {
			ours = append(ours, s.name+"_FILE")
		}
	}
	theirs := maps.Clone(in.shell)
	maps.Copy(theirs, in.dotEnv)
	for _, name := range slices.Sorted(maps.Keys(theirs)) {
		if slices.Contains(ours, name) {
			continue
		}
		if slices.Contains(notYet, name) {
			l.warn(name + " is set and is not in force: this version does not have what it is for.")
			continue
		}
		if meant := closest(name, ours); meant != "" {
			l.warn(fmt.Sprintf("%s is set and has no effect. Did you mean %s?", name, meant))
		}
	}
}

// notYet are names that documents promise and nothing reads so far. Whoever sets
// one believes in it.
var notYet = []string{
	"REDIS_URL",
}

// closest finds the name that is meant: the same in other case, or one edit away.
func closest(name string, ours []string) string {
	for _, our := range ours {
		if strings.EqualFold(name, our) || oneEdit(strings.ToUpper(name), our) {
			return our
		}
	}
	return ""
}

// oneEdit reports whether one inserted, deleted, changed or swapped byte makes a
// into b.
func oneEdit(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	if a == b || len(b)-len(a) > 1 {
		return false
	}
	at := 0
	for at < len(a) && a[at] == b[at] {
		at++
	}
	if len(a) < len(b) {
		return a[at:] == b[at+1:]
	}
	swapped := at+1 < len(a) && a[at] == b[at+1] && a[at+1] == b[at] && a[at+2:] == b[at+2:]
	return swapped || a[at+1:] == b[at+1:]
}
