package wire

import (
	"strings"
	"unicode"

	"keyshield/internal/strict"
)

// What chat completions and responses define in the same members, one object
// deeper here or there. In all of them an absent text is "" and null is absent.

// definition is a function that the model may call, or the format of an answer.
type definition struct {
	name, description string
	schema            []byte // a JSON schema; nil when absent
	strict            *bool
}

var (
	functionFields = []string{"name", "description", "parameters", "strict"}
	formatFields   = []string{"name", "description", "schema", "strict"}
)

// read reads the member of that name. longest is how many bytes its own name may
// have.
func (d *definition) read(r *strict.Reader, name string, longest int) {
	switch {
	case r.Null():
	case name == "name":
		d.name = readName(r, longest)
	case name == "description":
		d.description = r.String()
	case name == "parameters", name == "schema":
		d.schema = readSchema(r)
	case name == "strict":
		d.strict = new(r.Bool())
	}
}

// check refuses the object read last when it is not whole.
func (d *definition) check(r *strict.Reader) {
	if d.name == "" {
		r.Missing("name")
	}
}

// append appends the members, without a bracket. schema is what that one is called.
func (d *definition) append(e *encoder, schema string) {
	e.textMember("name", d.name)
	e.textMember("description", d.description)
	e.rawMember(schema, d.schema)
	e.boolMember("strict", d.strict)
}

// grammar is what a custom tool's input must look like.
type grammar struct{ syntax, definition string }

var grammarFields = []string{"syntax", "definition"}

func (g *grammar) read(r *strict.Reader, name string) {
	switch {
	case r.Null():
	case name == "syntax":
		g.syntax = r.Enum("lark", "regex")
	case name == "definition":
		g.definition = r.String()
	}
}

func (g *grammar) check(r *strict.Reader) {
	switch {
	case g.syntax == "":
		r.Missing("syntax")
	case g.definition == "":
		r.Missing("definition")
	}
}

func (g *grammar) append(e *encoder) {
	e.textMember("syntax", g.syntax)
	e.textMember("definition", g.definition)
}

// readSchema reads a JSON schema, which must be an object.
func readSchema(r *strict.Reader) []byte {
	if r.Kind() != '{' {
		r.Skip()
		r.Invalid("must be an object: a JSON schema")
		return nil
	}
	return r.Document(maxSchema, maxSchemaBytes)
}

const onlyPlain = "may hold only letters, digits, _ and -"

// readName reads the name of a tool or a format, of at most so many bytes.
func readName(r *strict.Reader, most int) string {
	name := r.Text(most)
	if !plain(name) {
		r.Invalid(onlyPlain)
		return ""
	}
	return name
}

func plain(name string) bool {
	for i := range len(name) {
		c := name[i]
		if c-'0' > 9 && c|0x20-'a' > 25 && !strings.ContainsRune("_-", rune(c)) {
			return false
		}
	}
	return true
}

// readSpeaker reads the name of who says something, which is anybody's: OpenAI's own
// pattern is ^[^\s<|\\/>]+$.
func readSpeaker(r *strict.Reader) string {
	name := r.Text(maxName)
	if strings.ContainsFunc(name, func(c rune) bool {
		return unicode.IsSpace(c) || unicode.IsControl(c) || strings.ContainsRune("\ufeff<|\\/>", c)
	}) {
		r.Invalid(`must not hold spaces, control characters or any of < | \ / >`)
		return ""
	}
	return name
}

// readUpTo reads a string of at most so many bytes; it may be empty.
func readUpTo(r *strict.Reader, most int) string {
	s := r.String()
	if len(s) > most {
		r.Invalid("must not be longer than %d bytes", most)
		return ""
	}
	return s
}
