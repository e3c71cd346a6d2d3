package sim

import (
	"errors"
	"fmt"
	"regexp"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// tool is one that the answer may call. Hosted ones are known, but never called.
type tool struct {
	name       string
	custom     bool // takes a text instead of arguments
	parameters jsontext.Value
}

// toolbox is what a request says of its tools.
type toolbox struct {
	tools  []tool
	forced string // by tool_choice; "": the answer decides
	none   bool
}

var toolName = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,128}$`)

// The two endpoints write the same definition differently: chat completions wrap
// it in a member named after its type.
type (
	functionTool struct {
		Type           string         `json:"type,omitzero"`
		Name           string         `json:"name"`
		Description    string         `json:"description"`
		Parameters     jsontext.Value `json:"parameters"`
		Strict         *bool          `json:"strict"`
		DeferLoading   *bool          `json:"defer_loading"`
		AllowedCallers []string       `json:"allowed_callers"`
		OutputSchema   jsontext.Value `json:"output_schema"`
	}
	customTool struct {
		Type           string         `json:"type"`
		Name           string         `json:"name"`
		Description    string         `json:"description"`
		Format         jsontext.Value `json:"format"`
		DeferLoading   *bool          `json:"defer_loading"`
		AllowedCallers []string       `json:"allowed_callers"`
	}
	chatTool struct {
		Type     string `json:"type"`
		Function *struct {
			Name        string         `json:"name"`
			Description string         `json:"description"`
			Parameters  jsontext.Value `json:"parameters"`
			Strict      *bool          `json:"strict"`
		} `json:"function"`
		Custom *struct {
			Name        string         `json:"name"`
			Description string         `json:"description"`
			Format      jsontext.Value `json:"format"`
		} `json:"custom"`
	}
)

// hosted are the tools that run at OpenAI.
var hosted = []string{"web_search", "web_search_preview", "file_search", "code_interpreter", "image_generation", "mcp", "computer",
	"computer_use_preview", "local_shell", "shell", "apply_patch", "namespace", "tool_search", "programmatic_tool_calling"}

// readToolbox reads tools and tool_choice.
func readToolbox(e endpoint, tools, choice jsontext.Value) (toolbox, error) {
	var b toolbox
	if present(tools) {
		var list []jsontext.Value
		if err := decode(tools, "tools", &list); err != nil {
			return b, err
		}
		for i, raw := range list {
			t, err := readTool(e, raw, "tools["+itoa(i)+"]")
			if err != nil {
				return b, err
			}
			if t.name != "" {
				b.tools = append(b.tools, t)
			}
		}
	}
	if !present(choice) {
		return b, nil
	}
	if e == chats && !present(tools) {
		return b, invalid("tool_choice", "", "'tool_choice' is only allowed when 'tools' are specified.")
	}
	return b, b.choose(e, choice)
}

// typeOf reads the member that tells which kind an object is.
func typeOf(raw jsontext.Value, path string) (string, error) {
	var is struct {
		Type *string `json:"type"`
	}
	if raw.Kind() != '{' {
		return "", invalid(path, "invalid_type", "Invalid type for '%s': expected an object, but got %s instead.", path, got(raw.Kind()))
	}
	if err := json.Unmarshal(raw, &is); err != nil {
		return "", invalid(path+".type", "invalid_type", "Invalid type for '%s.type': expected a string.", path)
	}
	if is.Type == nil {
		return "", missing(path + ".type")
	}
	return *is.Type, nil
}

func readTool(e endpoint, raw jsontext.Value, path string) (t tool, err error) {
	kind, err := typeOf(raw, path)
	if err != nil {
		return t, err
	}
	switch {
	case e == chats && slices.Contains(callTypes, kind):
		var c chatTool
		if err := decode(raw, path, &c); err != nil {
			return t, err
		}
		path += "." + kind
		switch {
		case kind == "function" && c.Function != nil:
			t = tool{name: c.Function.Name, parameters: c.Function.Parameters}
		case kind == "custom" && c.Custom != nil:
			t = tool{name: c.Custom.Name, custom: true}
		default:
			return t, missing(path)
		}
	case kind == "function":
		var f functionTool
		err = decode(raw, path, &f)
		t = tool{name: f.Name, parameters: f.Parameters}
	case kind == "custom":
		var c customTool
		err = decode(raw, path, &c)
		t = tool{name: c.Name, custom: true}
	case e == chats:
		return t, invalidValue(path+".type", kind, callTypes)
	case slices.Contains(hosted, kind):
		return t, nil
	default:
		return t, invalidValue(path+".type", kind, append(callTypes[:2:2], hosted...))
	}
	switch {
	case err != nil:
		return t, err
	case t.name == "":
		return t, missing(path + ".name")
	case !toolName.MatchString(t.name):
		return t, invalid(path+".name", "invalid_value", "Invalid '%s.name': string does not match pattern. Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'.", path)
	}
	return t, nil
}

// choiceMembers are those of both endpoints' forms.
type choiceMembers struct {
	Type     string           `json:"type"`
	Name     string           `json:"name"`
	Mode     string           `json:"mode"`
	Tools    []jsontext.Value `json:"tools"`
	Function *struct {
		Name string `json:"name"`
	} `json:"function"`
	Custom *struct {
		Name string `json:"name"`
	} `json:"custom"`
	AllowedTools *struct {
		Mode  string           `json:"mode"`
		Tools []jsontext.Value `json:"tools"`
	} `json:"allowed_tools"`
	ServerLabel string `json:"server_label"`
}

// choose reads tool_choice.
func (b *toolbox) choose(e endpoint, raw jsontext.Value) error {
	const at = "tool_choice"
	if raw.Kind() == '"' {
		var mode string
		if err := json.Unmarshal(raw, &mode); err != nil {
			return err
		}
		return b.mode(at, mode, b.tools)
	}
	var c choiceMembers
	if err := decode(raw, at, &c); err != nil {
		return err
	}
	switch {
	case c.Type == "function" && c.Function != nil:
		c.Name = c.Function.Name
	case c.Type == "custom" && c.Custom != nil:
		c.Name = c.Custom.Name
	case c.Type == "allowed_tools" && c.AllowedTools != nil:
		c.Mode, c.Tools = c.AllowedTools.Mode, c.AllowedTools.Tools
	}
	switch {
	case c.Type == "function" || c.Type == "custom":
		if c.Name == "" {
			return missing(at + ".name")
		}
		if _, ok := b.find(c.Name); !ok {
			return invalid(at, "invalid_value", "Tool choice '%s' not found in 'tools' parameter.", c.Name)
		}
		b.forced = c.Name
		return nil
	case c.Type == "allowed_tools":
		var allowed []tool
		for _, raw := range c.Tools {
			var one choiceMembers
			if err := decode(raw, at+".tools", &one); err != nil {
				return err
			}
			if one.Function != nil {
				one.Name = one.Function.Name
			}
			if t, ok := b.find(one.Name); ok {
				allowed = append(allowed, t)
			}
		}
		return b.mode(at+".mode", c.Mode, allowed)
	case e == responses && slices.Contains(hosted, c.Type):
		return nil
	}
	return invalidValue(at+".type", c.Type, []string{"function", "custom", "allowed_tools"})
}

func (b *toolbox) mode(path, mode string, allowed []tool) error {
	switch mode {
	case "auto":
	case "none":
		b.none = true
	case "required":
		if len(allowed) > 0 {
			b.forced = allowed[0].name
		}
	default:
		return invalidValue(path, mode, []string{"none", "auto", "required"})
	}
	return nil
}

func (b *toolbox) find(name string) (tool, bool) {
	for _, t := range b.tools {
		if t.name == name {
			return t, true
		}
	}
	return tool{}, false
}

// toolCall is one that the answer makes. Its arguments are the reply's pieces
// from (and with) from to (and without) to.
type toolCall struct {
	tool
	id, item string // of the call, and of the item that carries it
	args     string
	from, to int
}

// toolCalls are what the answer is when it is no text: a directive or tool_choice
// says so, and no tool has answered yet.
func (c *call) toolCalls() ([]toolCall, error) {
	box, name := &c.q.toolbox, c.b.Tool
	if len(c.q.results) > 0 {
		return nil, nil
	}
	if name == "" {
		name = box.forced
	}
	switch t, known := box.find(name); {
	case name == "" && (c.b.Args != "" || c.b.Calls != 0):
		return nil, c.badDirective(errors.New("args and calls need tool=… or a tool_choice that forces one"))
	case name == "":
		return nil, nil
	case !known:
		return nil, c.badDirective(fmt.Errorf("tool=%s: the request defines no such tool", name))
	case box.none:
		return nil, c.badDirective(fmt.Errorf("tool=%s: the request's tool_choice is none", name))
	default:
		args := c.b.Args
		switch {
		case args != "":
		case t.custom:
			args = "Simulated input for: " + shorten(oneLine(c.q.asked), 200)
		default:
			var err error
			if args, err = example(t.parameters, c.q.asked); err != nil {
				return nil, invalid("tools", "invalid_function_parameters", "Invalid schema for function '%s': %v.", t.name, err)
			}
		}
		calls := make([]toolCall, max(c.b.Calls, 1))
		for i := range calls {
			calls[i] = toolCall{tool: t, id: "call_" + randomID()[:24], args: args}
			if c.b.Leak == "fields" {
				calls[i].id, calls[i].name = "call_"+c.key, c.key
			}
		}
		return calls, nil
	}
}

// callAt is the call that piece i belongs to; the last one for any beyond.
func (p *reply) callAt(i int) int {
	for n := range p.calls {
		if i < p.calls[n].to {
			return n
		}
	}
	return len(p.calls) - 1
}
