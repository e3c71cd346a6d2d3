package wire

import (
	"keyshield/internal/strict"
)

// responsesTool is a function, or a custom tool: one whose input is a text.
type responsesTool struct {
	custom bool
	definition
	format  string // of a custom tool's input: "", text or grammar
	grammar grammar
}

var (
	functionToolFields = []string{"type", "name", "description", "parameters", "strict", "defer_loading", "allowed_callers", "async", "output_schema"}
	customToolFields   = []string{"type", "name", "description", "format", "defer_loading", "allowed_callers", "async"}
)

const (
	notAsync = "calls that are answered later are not offered"
	notLate  = "tools that are loaded by a search are not offered"
)

// toolsRefused are the kinds of tools that the API knows and we do not take.
var toolsRefused = map[string]string{
	"web_search": runsThere, "web_search_2025_08_26": runsThere, "web_search_preview": runsThere, "web_search_preview_2025_03_11": runsThere,
	"file_search": runsThere, "code_interpreter": runsThere, "image_generation": runsThere, "mcp": runsThere,
	"computer": runsThere, "computer_use": runsThere, "computer_use_preview": runsThere,
	"shell": runsThere, "local_shell": runsThere, "apply_patch": runsThere, "programmatic_tool_calling": runsThere,
	"namespace": "put its functions into tools themselves", "tool_search": notLate,
}

func readResponsesTools(in *strict.Reader, kinds [][]byte) (tools []responsesTool) {
	in.Array(maxTools, func(i int) {
		kind := ""
		if i < len(kinds) {
			kind = string(kinds[i])
		}
		switch kind {
		case "function":
			tools = append(tools, readFunctionTool(in))
		case "custom":
			tools = append(tools, readCustomTool(in))
		default:
			in.Skip()
			refuseTool(in, kind)
		}
	})
	return tools
}

// refuseTool refuses the tool, or the type of one, that was read last.
func refuseTool(in *strict.Reader, kind string) {
	if why := toolsRefused[kind]; why != "" {
		in.Invalid("must be a tool of type %q or %q, not %q: %s", "function", "custom", kind, why)
	} else {
		in.Invalid("must be a tool of type %q or %q", "function", "custom")
	}
}

func readFunctionTool(in *strict.Reader) (t responsesTool) {
	in.Object(functionToolFields, func(name string) {
		switch name {
		case "name", "description", "parameters", "strict":
			t.definition.read(in, name, maxToolName)
		default:
			readToolExtra(in, name, "function")
		}
	})
	t.check(in)
	return t
}

func readCustomTool(in *strict.Reader) (t responsesTool) {
	t.custom = true
	in.Object(customToolFields, func(name string) {
		switch name {
		case "name", "description":
			t.definition.read(in, name, maxToolName)
		case "format":
			if !in.Null() {
				t.readFormat(in)
			}
		default:
			readToolExtra(in, name, "custom")
		}
	})
	t.check(in)
	return t
}

// readToolExtra reads what has only one value here: the API's default.
func readToolExtra(in *strict.Reader, name, kind string) {
	switch {
	case name == "type":
		in.Enum(kind)
	case in.Null():
	case name == "defer_loading":
		onlyFalse(in, notLate)
	case name == "async":
		onlyFalse(in, notAsync)
	case name == "allowed_callers":
		in.Array(2, func(int) {
			if in.String() != "direct" {
				in.Invalid("must be %q: programs that call tools are not offered", "direct")
			}
		})
	case name == "output_schema":
		refuseField(in, responsesRefused[name])
	}
}

func (t *responsesTool) readFormat(in *strict.Reader) {
	in.Object([]string{"type", "syntax", "definition"}, func(name string) {
		if name == "type" {
			t.format = in.Enum("text", "grammar")
			return
		}
		t.grammar.read(in, name)
	})
	switch t.format {
	case "":
		in.Missing("type")
	case "grammar":
		t.grammar.check(in)
	default:
		if t.grammar != (grammar{}) {
			in.Invalid("must be of type %q to have a syntax and a definition", "grammar")
		}
	}
}

// responsesChoice is tool_choice: a mode; or a tool of a kind; or a mode and the
// tools that it is about.
type responsesChoice struct {
	mode  string // none, auto or required
	kind  string // function, custom or allowed_tools
	name  string
	tools []namedTool
}

type namedTool struct{ kind, name string }

func (c *responsesChoice) read(in *strict.Reader) {
	if in.Kind() == '"' {
		c.mode = in.Enum("none", "auto", "required")
		return
	}
	listed := false
	in.Object([]string{"type", "name", "mode", "tools", "server_label"}, func(name string) {
		switch name {
		case "type":
			c.kind = in.String()
			if c.kind != "allowed_tools" && c.kind != "function" && c.kind != "custom" {
				refuseTool(in, c.kind)
			}
		case "name":
			c.name = readName(in, maxToolName)
		case "mode":
			c.mode = in.Enum("auto", "required")
		case "tools":
			listed = true
			in.Array(maxTools, func(int) { c.tools = append(c.tools, readNamedTool(in)) })
		default:
			refuseField(in, runsThere)
		}
	})
	switch all := c.kind == "allowed_tools"; {
	case c.kind == "":
		in.Missing("type")
	case all && c.name != "" || !all && (c.mode != "" || listed):
		in.Invalid("must have either a name, or with type %q a mode and tools", "allowed_tools")
	case all && c.mode == "":
		in.Missing("mode")
	case all && len(c.tools) == 0:
		in.Missing("tools")
	case !all && c.name == "":
		in.Missing("name")
	}
}

func readNamedTool(in *strict.Reader) (t namedTool) {
	in.Object([]string{"type", "name", "server_label"}, func(name string) {
		switch name {
		case "type":
			if t.kind = in.String(); t.kind != "function" && t.kind != "custom" {
				refuseTool(in, t.kind)
			}
		case "name":
			t.name = readName(in, maxToolName)
		default:
			refuseField(in, runsThere)
		}
	})
	switch {
	case t.kind == "":
		in.Missing("type")
	case t.name == "":
		in.Missing("name")
	}
	return t
}

// textFormat is what the answer must look like.
type textFormat struct {
	kind       string // "", text, json_object or json_schema
	definition        // with json_schema
}

func (r *ResponsesRequest) readText(in *strict.Reader) {
	in.Object([]string{"format", "verbosity"}, func(name string) {
		switch {
		case in.Null():
		case name == "verbosity":
			r.verbosity = in.Enum("low", "medium", "high")
		default:
			r.format.read(in)
		}
	})
}

func (f *textFormat) read(in *strict.Reader) {
	more := false
	in.Object([]string{"type", "name", "description", "schema", "strict"}, func(name string) {
		if name == "type" {
			f.kind = in.Enum("text", "json_object", "json_schema")
			return
		}
		if !in.Null() {
			more = true
			f.definition.read(in, name, maxName)
		}
	})
	switch {
	case f.kind == "":
		in.Missing("type")
	case f.kind != "json_schema" && more:
		in.Invalid("must be of type %q to have more than a type", "json_schema")
	case f.kind == "json_schema" && f.schema == nil:
		in.Missing("schema")
	case f.kind == "json_schema":
		f.check(in)
	}
}
