package wire

import (
	"slices"

	"keyshield/internal/strict"
)

// inputItem is one item of a conversation: a message, a call that the model made,
// or what the call gave.
type inputItem struct {
	kind   string
	role   string // of a message
	phase  string // of the model's own: it answers worse when this is lost
	callID string // of all but messages
	name   string // of a call
	text   string // content, arguments, input or output
	parts  []inputPart
}

// parts, when not nil, stand in the place of text.
type inputPart struct{ kind, text string }

const (
	itemMessage      = "message"
	itemCall         = "function_call"
	itemCustomCall   = "custom_tool_call"
	itemOutput       = "function_call_output"
	itemCustomOutput = "custom_tool_call_output"

	partInput   = "input_text"
	partOutput  = "output_text"
	partRefusal = "refusal"
)

// What each kind may hold. People send back whole items of an earlier answer, so
// what the API writes into them is accepted, and what the SDKs add of their own
// (parsed, parsed_arguments); it is dropped where it does not say anything to the
// model.
var (
	itemMessageFields = []string{"type", "id", "status", "role", "content", "phase"}
	itemCallFields    = map[string][]string{
		itemCall:       {"type", "id", "status", "created_by", "caller", "namespace", "async", "call_id", "name", "arguments", "parsed_arguments"},
		itemCustomCall: {"type", "id", "status", "created_by", "caller", "namespace", "async", "call_id", "name", "input"},
	}
	itemOutputFields = map[string][]string{
		itemOutput:       {"type", "id", "status", "created_by", "caller", "namespace", "name", "call_id", "output"},
		itemCustomOutput: {"type", "id", "status", "created_by", "caller", "call_id", "output"},
	}
	itemPartFields = map[string][]string{
		partInput:   {"type", "text", "prompt_cache_breakpoint"},
		partOutput:  {"type", "text", "annotations", "logprobs", "parsed"},
		partRefusal: {"type", "refusal"},
	}
)

const (
	notStored  = "it refers to an item stored under the operator's key; send the items themselves (with @ai-sdk/openai set providerOptions.openai.store = false)"
	notLoaded  = "tools stand in the member tools, where their cost is bounded"
	notCompact = "what a compacted conversation costs has no bound by bytes; send the items themselves"
	onlyText   = "only text is accepted: what images, files and audio cost has no bound by bytes"
)

// itemsRefused are the kinds of items that the API knows and we do not take.
var itemsRefused = map[string]string{
	"item_reference": notStored,
	"compaction":     notCompact, "compaction_trigger": notCompact,
	"additional_tools": notLoaded, "tool_search_call": notLoaded, "tool_search_output": notLoaded,
	"configuration_update": "settings stand beside input, where they are judged",
	"program":              runsThere, "program_output": runsThere,
	"file_search_call": runsThere, "web_search_call": runsThere, "image_generation_call": runsThere, "code_interpreter_call": runsThere,
	"computer_call": runsThere, "computer_call_output": runsThere,
	"local_shell_call": runsThere, "local_shell_call_output": runsThere, "shell_call": runsThere, "shell_call_output": runsThere,
	"apply_patch_call": runsThere, "apply_patch_call_output": runsThere,
	"mcp_call": runsThere, "mcp_list_tools": runsThere, "mcp_approval_request": runsThere, "mcp_approval_response": runsThere,
	"input_text": "it is a part of a message: put it into the content of one", "output_text": "it is a part of a message: put it into the content of one",
	"input_image": onlyText, "input_file": onlyText, "input_audio": onlyText,
}

// inputReader reads the items of one request.
type inputReader struct {
	*strict.Reader
	calls map[string]string // id → the kind of item that must answer it, "" once it has
}

func (r *ResponsesRequest) readInput(body *strict.Reader, kinds []itemKind) {
	if body.Kind() == '"' {
		if r.text = body.String(); r.text == "" {
			body.Invalid("must not be empty")
		}
		return
	}
	if body.Kind() != '[' {
		body.Skip()
		body.Invalid("must be a string or an array of items")
		return
	}
	in := inputReader{Reader: body, calls: map[string]string{}}
	r.items = make([]inputItem, 0, min(len(kinds), maxMessages))
	in.Array(maxMessages, func(i int) {
		var kind itemKind
		if i < len(kinds) {
			kind = kinds[i]
		}
		if item := in.item(kind); item.kind != "" {
			r.items = append(r.items, item)
			r.System = r.System || item.role == "system" || item.role == "developer"
		}
	})
	if len(r.items) == 0 {
		body.Invalid("must not be empty; reasoning items alone do not count, they are not sent on")
	}
}

// item reads one item; none is what is dropped or refused.
func (in inputReader) item(k itemKind) inputItem {
	switch kind := string(k.kind); kind {
	case "", itemMessage:
		return in.message(k)
	case itemCall, itemCustomCall:
		return in.call(kind)
	case itemOutput, itemCustomOutput:
		return in.done(kind, k)
	case "reasoning":
		in.Skip() // its tokens are not bounded by its bytes, and the model does without
	default:
		in.Skip()
		if why := itemsRefused[kind]; why != "" {
			in.Invalid("must not be of type %q: %s", kind, why)
		} else {
			in.Invalid("has an unknown type %q", strict.Shown(kind))
		}
	}
	return inputItem{}
}

func (in inputReader) message(k itemKind) inputItem {
	item := inputItem{kind: itemMessage}
	said, known := false, false
	in.Object(itemMessageFields, func(name string) {
		switch name {
		case "role":
			item.role = in.Enum("user", "assistant", "system", "developer")
		case "content":
			said = true
			in.content(&item, k.parts, partInput, partOutput, partRefusal)
		case "phase":
			if !in.Null() {
				item.phase = in.Enum("commentary", "final_answer")
			}
		case "type":
			if !in.Null() {
				in.Enum(itemMessage)
			}
		default:
			known = known || name == "id"
			in.dropped(name)
		}
	})
	switch {
	case item.role == "" && !said && known:
		in.Invalid("must not be an id alone: %s", notStored)
	case item.role == "":
		in.Missing("role")
	case !said:
		in.Missing("content")
	case item.role != "assistant":
		item.phase = "" // says nothing of anybody else's
		if slices.ContainsFunc(item.parts, func(p inputPart) bool { return p.kind != partInput }) {
			in.Invalid("may hold only parts of type %q: the others are the assistant's", partInput)
		}
	}
	return item
}

func (in inputReader) call(kind string) inputItem {
	item := inputItem{kind: kind}
	said := false
	in.Object(itemCallFields[kind], func(name string) {
		switch name {
		case "type":
			in.Enum(kind)
		case "call_id":
			item.callID = in.Text(maxCallID)
			in.define(item.callID, kind+"_output")
		case "name":
			item.name = readName(in.Reader, maxToolName)
		case "arguments", "input":
			said = true
			item.text = in.String()
		default:
			in.dropped(name)
		}
	})
	switch {
	case item.callID == "":
		in.Missing("call_id")
	case item.name == "":
		in.Missing("name")
	case !said && kind == itemCall:
		in.Missing("arguments")
	case !said:
		in.Missing("input")
	}
	return item
}

func (in inputReader) done(kind string, k itemKind) inputItem {
	item := inputItem{kind: kind}
	said := false
	in.Object(itemOutputFields[kind], func(name string) {
		switch {
		case name == "type":
			in.Enum(kind)
		case name == "call_id" && !in.Null():
			item.callID = in.Text(maxCallID)
			in.answer(item.callID, kind)
		case name == "call_id":
		case name == "output":
			said = true
			in.content(&item, k.parts, partInput)
		default:
			in.dropped(name)
		}
	})
	switch {
	case item.callID == "":
		in.Missing("call_id")
	case !said:
		in.Missing("output")
	}
	return item
}

// define and answer keep calls and their outputs in pairs: the API does so too, but
// in words that do not say which item is at fault.

func (in inputReader) define(id, output string) {
	if _, ok := in.calls[id]; ok {
		in.Invalid("is the id of an earlier call already; send each call once")
		return
	}
	in.calls[id] = output
}

func (in inputReader) answer(id, output string) {
	switch want, ok := in.calls[id]; {
	case !ok:
		in.Invalid("answers no call: send the model's call before its output")
	case want == "":
		in.Invalid("answers a call that has been answered already; send each output once")
	case want != output:
		in.Invalid("answers a call whose output must be of type %q", want)
	}
	in.calls[id] = ""
}

// dropped reads what an answer's items hold besides what they say.
func (in inputReader) dropped(name string) {
	switch {
	case in.Null():
	case name == "status":
		in.Enum("in_progress", "completed", "incomplete")
	case name == "async":
		onlyFalse(in.Reader, notAsync)
	case name == "caller":
		in.caller()
	case name == "parsed_arguments":
		in.Skip()
	default: // id, created_by, namespace, name: the call's id says all of it
		readUpTo(in.Reader, maxUser)
	}
}

func (in inputReader) caller() {
	in.Object([]string{"type", "caller_id"}, func(name string) {
		if by := in.String(); name == "type" && by != "direct" {
			in.Invalid("must be %q: programs that call tools are not offered", "direct")
		}
	})
}

// content reads a text, or parts of these kinds.
func (in inputReader) content(item *inputItem, kinds [][]byte, of ...string) {
	switch in.Kind() {
	case '"':
		item.text = in.String()
	case '[':
		item.parts = make([]inputPart, 0, min(len(kinds), maxParts))
		in.Array(maxParts, func(i int) {
			kind := ""
			if i < len(kinds) {
				kind = string(kinds[i])
			}
			item.parts = append(item.parts, in.part(kind, of))
		})
	default:
		in.Skip()
		in.Invalid("must be a string or an array of parts")
	}
}

func (in inputReader) part(kind string, of []string) inputPart {
	if !slices.Contains(of, kind) {
		in.Skip()
		if itemsRefused[kind] == onlyText {
			in.Invalid("must not be of type %q: %s", kind, onlyText)
		} else {
			in.Invalid("must be an object of type %s", strict.Listed(of, "or"))
		}
		return inputPart{}
	}
	part := inputPart{kind: kind}
	said := false
	in.Object(itemPartFields[kind], func(name string) {
		switch {
		case name == "type":
			in.Enum(kind)
		case name == "text" || name == "refusal":
			said = true
			part.text = in.String()
		case in.Null():
		case name == "prompt_cache_breakpoint":
			refuseField(in.Reader, cacheIsShared)
		case name == "parsed" || in.Kind() == '[': // annotations and logprobs say nothing to the model
			in.Skip()
		default:
			in.Skip()
			in.Invalid("must be an array")
		}
	})
	if !said {
		in.Missing(itemPartFields[kind][1])
	}
	return part
}
