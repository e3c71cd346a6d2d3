package config

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"reflect"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"keyshield/internal/policy"
	"keyshield/internal/secret"
)

// Shown is one setting as it may be shown to anyone: of a secret, only whether there
// is one.
type Shown struct {
	Group, Name, Value string
	Source             Source
	Note               string
}

// Settings lists what is in force, in the order of the groups.
func (l *Loaded) Settings() []Shown {
	var all []Shown
	for _, s := range settings(&l.Config) {
		one := Shown{Group: s.group, Name: s.name, Value: s.shown(), Source: l.Sources[s.name], Note: l.notes[s.name]}
		if !l.sound(s.name) {
			one.Value = "(see the problem)"
		}
		all = append(all, one)
	}
	return all
}

// Print writes every setting, its value and where that comes from.
func (l *Loaded) Print(w io.Writer) {
	all := l.Settings()
	nameWidth, valueWidth := 0, 0
	for _, s := range all {
		nameWidth = max(nameWidth, len(s.Name))
		valueWidth = max(valueWidth, utf8.RuneCountInString(s.Value))
	}
	group := ""
	for _, s := range all {
		if s.Group != group {
			group = s.Group
			fmt.Fprintln(w, group)
		}
		note := s.Note
		if note != "" {
			note = " (" + note + ")"
		}
		fmt.Fprintf(w, "  %-*s  %-*s  %s%s\n", nameWidth, s.Name, valueWidth, s.Value, s.Source, note)
	}
}

// shown is the value for a terminal: one line, and never a secret.
func (s setting) shown() string {
	v := s.value
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return "(not set)"
		}
		v = v.Elem()
	}
	var text string
	switch value := v.Interface().(type) {
	case secret.String:
		if value.IsZero() {
			return "(not set)"
		}
		return "(set)"
	case []string:
		text = strings.Join(value, ",")
	case policy.Multiplier:
		if value != 0 {
			text = value.String()
		}
	case slog.Level:
		text = strings.ToLower(value.String())
	case time.Duration:
		text = short(value)
	default:
		text = fmt.Sprint(value)
	}
	switch {
	case text == "":
		return "(not set)"
	case secretive(text):
		return "(not shown: it looks like a secret)"
	case utf8.RuneCountInString(text) > quoted || strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }):
		return quote(text)
	}
	return text
}

// short is 1h and 5m, where Duration.String says 1h0m0s and 5m0s.
func short(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// Example is the file .env.example: every setting with its default, in comments,
// so that a copy of it changes nothing but what is filled in.
func Example() []byte {
	var out bytes.Buffer
	out.WriteString(`# Settings of keyshield. Copy this file to .env, fill in the lines without a #,
# then: chmod 600 .env
#
# The environment wins over .env, an empty value is no value, and a value that is
# not right stops the start. A $ is read as a variable unless the value stands in
# single quotes. Secrets may stand in files instead: OPENAI_API_KEY_FILE and
# JWT_SECRET_FILE name them. "keyshield check" shows what is in force.
`)
	group := ""
	for _, s := range settings(new(Config)) {
		if s.group != group {
			group = s.group
			fmt.Fprintf(&out, "\n# ---- %s ----\n", group)
		}
		out.WriteByte('\n')
		for _, line := range wrapped(s.sentence(), 78) {
			fmt.Fprintf(&out, "# %s\n", line)
		}
		switch {
		case s.required != "":
			fmt.Fprintf(&out, "%s=\n", s.name)
		case s.def != "":
			fmt.Fprintf(&out, "#%s=%s\n", s.name, s.def)
		default:
			fmt.Fprintf(&out, "#%s=\n", s.name)
		}
	}
	return out.Bytes()
}

// MarkdownTable is the README's table of settings.
func MarkdownTable() []byte {
	var out bytes.Buffer
	group := ""
	for _, s := range settings(new(Config)) {
		if s.group != group {
			group = s.group
			fmt.Fprintf(&out, "\n**%s**\n\n| variable | default | meaning |\n|---|---|---|\n", group)
		}
		def := "`" + s.def + "`"
		if s.def == "" {
			def = ""
		}
		if s.required != "" {
			def = s.required
		}
		name := "`" + s.name + "`"
		if s.secret {
			name += " or `" + s.name + "_FILE`"
		}
		fmt.Fprintf(&out, "| %s | %s | %s |\n", name, def, strings.ReplaceAll(escaped(s.sentence()), "|", `\|`))
	}
	out.WriteByte('\n')
	return out.Bytes()
}

// sentence is the description with what else a reader wants to know.
func (s setting) sentence() string {
	text := strings.ToUpper(s.desc[:1]) + s.desc[1:]
	if last := len(s.oneof) - 1; last >= 0 && s.value.Kind() != reflect.Bool && !strings.Contains(s.desc, s.oneof[last]) {
		text += ": " + s.wants()
	}
	if s.min != "" {
		text += fmt.Sprintf("; from %s to %s", s.min, s.max)
	}
	if s.example != "" && !strings.Contains(s.desc, s.example) {
		text += "; e.g. " + s.example
	}
	text += "."
	if s.dev != "" {
		text += fmt.Sprintf(" In dev: %s.", s.dev)
	}
	return text
}

// escaped keeps <number> from being taken for HTML.
func escaped(s string) string {
	return strings.NewReplacer("<", "&lt;", ">", "&gt;").Replace(s)
}

// wrapped breaks text between words into lines of at most width.
func wrapped(text string, width int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		if line != "" && len(line)+1+len(word) > width {
			lines, line = append(lines, line), ""
		}
		line = strings.TrimSpace(line + " " + word)
	}
	return append(lines, line)
}
