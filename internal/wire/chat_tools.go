package wire

import "keyshield/internal/strict"

// chatTool is a function or a custom tool. All others are run by the provider, which
// bills them by the call or by what they find.
type chatTool struct {
	custom   bool
	function definition
	name     string // of a custom one, as is the rest
	about    string
	format   chatToolFormat
}

// chatToolFormat is what the input of a custom tool looks like.
type chatToolFormat struct {
	kind    string // text or grammar; "" when absent
	grammar grammar
}

// chatToolChoice is what the model is told to call. Only one of its fields is set.
type chatToolChoice struct {
	mode    string // none, auto, required
	named   chatToolName
	allowed []chatToolName
	among   string // mode of allowed: auto, required
}

type chatToolName struct {
	custom bool
	name   string
}

func (c *chatToolChoice) set() bool { return c.mode != "" || c.named.name != "" || c.allowed != nil }

// chatFormat is what the answer must look like.
type chatFormat struct {
	kind   string // text, json_object, json_schema; "" when absent
	schema definition
}

func readTools(r *strict.Reader, req *ChatRequest) {
	if readEach(r, maxTools, func() { req.tools = append(req.tools, readTool(r)) }) == 0 {
		r.Invalid("must not be empty: leave it out when there are none")
	}
}

func readTool(r *strict.Reader) (t chatTool) {
	var kind string
	var function, custom bool
	r.Object([]string{"type", "function", "custom"}, func(name string) {
		switch {
		case r.Null():
		case name == "type":
			kind = readToolKind(r)
		case name == "function":
			function = true
			r.Object(functionFields, func(name string) { t.function.read(r, name, maxName) })
			t.function.check(r)
		default:
			custom = true
			t.readCustom(r)
		}
	})
	t.custom = kind == "custom"
	checkKind(r, kind, function, custom)
	return t
}

// readToolKind reads the type of a tool.
func readToolKind(r *strict.Reader) string {
	kind := r.String()
	if kind != "function" && kind != "custom" {
		r.Invalid(`must be "function" or "custom": %s`, runsThere)
	}
	return kind
}

// checkKind refuses the object read last unless it holds what its type says, and
// nothing else.
func checkKind(r *strict.Reader, kind string, function, custom bool) {
	switch {
	case kind == "":
		r.Missing("type")
	case kind == "function" && !function, kind == "custom" && !custom:
		r.Missing(kind)
	case function && custom:
		r.Invalid("must not hold both a function and a custom tool")
	}
}

func (t *chatTool) readCustom(r *strict.Reader) {
	r.Object([]string{"name", "description", "format"}, func(name string) {
		switch {
		case r.Null():
		case name == "name":
			t.name = readName(r, maxName)
		case name == "description":
			t.about = r.String()
		default:
			t.format.read(r)
		}
	})
	if t.name == "" {
		r.Missing("name")
	}
}

func (f *chatToolFormat) read(r *strict.Reader) {
	given := false
	r.Object([]string{"type", "grammar"}, func(name string) {
		switch {
		case r.Null():
		case name == "type":
			f.kind = r.Enum("text", "grammar")
		default:
			given = true
			r.Object(grammarFields, func(name string) { f.grammar.read(r, name) })
			f.grammar.check(r)
		}
	})
	switch {
	case f.kind == "":
		r.Missing("type")
	case f.kind == "grammar" && !given:
		r.Missing("grammar")
	case f.kind == "text" && given:
		r.InvalidMember("grammar", "has no place in a format of type %q", f.kind)
	}
}

func readFunctions(r *strict.Reader, req *ChatRequest) {
	n := readEach(r, maxTools, func() {
		var d definition
		r.Object([]string{"name", "description", "parameters"}, func(name string) { d.read(r, name, maxName) })
		d.check(r)
		req.functions = append(req.functions, d)
	})
	if n == 0 {
		r.Invalid("must not be empty: leave it out when there are none")
	}
}

// readToolChoice reads tool_choice.
func readToolChoice(r *strict.Reader, c *chatToolChoice) {
	if r.Kind() == '"' {
		c.mode = r.Enum("none", "auto", "required")
		return
	}
	var kind string
	var named chatToolName
	var function, custom bool
	r.Object([]string{"type", "function", "custom", "allowed_tools"}, func(name string) {
		switch {
		case r.Null():
		case name == "type":
			if kind = r.String(); kind != "allowed_tools" && kind != "function" && kind != "custom" {
				r.Invalid(`must be "function", "custom" or "allowed_tools": %s`, runsThere)
			}
		case name == "allowed_tools":
			c.readAllowed(r)
		default:
			function, custom = function || name == "function", custom || name == "custom"
			named.name = readNamed(r)
		}
	})
	if kind == "allowed_tools" {
		switch {
		case function || custom:
			r.Invalid("names one tool and allows several at once")
		case c.allowed == nil:
			r.Missing("allowed_tools")
		}
		return
	}
	if c.allowed != nil {
		r.InvalidMember("allowed_tools", "has no place in a choice of type %q", kind)
	}
	checkKind(r, kind, function, custom)
	named.custom = custom
	c.named = named
}

func (c *chatToolChoice) readAllowed(r *strict.Reader) {
	r.Object([]string{"mode", "tools"}, func(name string) {
		switch {
		case r.Null():
		case name == "mode":
			c.among = r.Enum("auto", "required")
		default:
			if readEach(r, maxTools, func() { c.allowed = append(c.allowed, readToolName(r)) }) == 0 {
				r.Invalid("must not be empty")
			}
		}
	})
	switch {
	case c.among == "":
		r.Missing("mode")
	case c.allowed == nil:
		r.Missing("tools")
	}
}

// readToolName reads {"type": "function", "function": {"name": …}}, or a custom
// tool's.
func readToolName(r *strict.Reader) (t chatToolName) {
	var kind string
	var function, custom bool
	r.Object([]string{"type", "function", "custom"}, func(name string) {
		switch {
		case r.Null():
		case name == "type":
			kind = readToolKind(r)
		default:
			function, custom = function || name == "function", custom || name == "custom"
			t.name = readNamed(r)
		}
	})
	checkKind(r, kind, function, custom)
	t.custom = custom
	return t
}

// readNamed reads {"name": …}.
func readNamed(r *strict.Reader) (s string) {
	r.Object([]string{"name"}, func(string) {
		if !r.Null() {
			s = readName(r, maxName)
		}
	})
	if s == "" {
		r.Missing("name")
	}
	return s
}

// readFunctionChoice reads function_call, the older form of tool_choice.
func readFunctionChoice(r *strict.Reader, c *chatToolChoice) {
	if r.Kind() == '"' {
		c.mode = r.Enum("none", "auto")
		return
	}
	c.named.name = readNamed(r)
}

func readResponseFormat(r *strict.Reader, f *chatFormat) {
	given := false
	r.Object([]string{"type", "json_schema"}, func(name string) {
		switch {
		case r.Null():
		case name == "type":
			f.kind = r.Enum("text", "json_object", "json_schema")
		default:
			given = true
			r.Object(formatFields, func(name string) { f.schema.read(r, name, maxName) })
			f.schema.check(r)
		}
	})
	switch {
	case f.kind == "":
		r.Missing("type")
	case f.kind == "json_schema" && !given:
		r.Missing("json_schema")
	case f.kind != "json_schema" && given:
		r.InvalidMember("json_schema", "has no place in a format of type %q", f.kind)
	}
}
