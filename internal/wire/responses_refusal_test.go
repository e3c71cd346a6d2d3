package wire_test

import (
	"fmt"
	"strings"
	"testing"

	"keyshield/internal/apierr"
	"keyshield/internal/wire"
)

func checkResponsesRefusals(t *testing.T, frame string, list []refusal) {
	t.Helper()
	checkRefusals(t, reads(wire.ReadResponsesRequest), frame, list)
}

func TestResponsesFieldsThatAreRefused(t *testing.T) {
	checkResponsesRefusals(t, `{"model":"m","input":"hi",%s}`, []refusal{
		{`"output_schema":{}`, "invalid_field", "output_schema", "text.format"},
		{`"access_programs":{"cyber":"daybreak_red"}`, "invalid_field", "access_programs", "operator"},
		{`"image":{"context_compression":"enabled"}`, "invalid_field", "image", "text"},
		{`"stream_options":{}`, "invalid_field", "stream_options", `"stream": true`},
		{`"stream":true,"stream_options":{"include_usage":true}`, "unknown_field", "stream_options.include_usage", "include_obfuscation"},
		{`"stream":"true"`, "invalid_field", "stream", "true or false"},
		{`"max_output_tokens":15`, "invalid_field", "max_output_tokens", "at least 16"},
		{`"max_output_tokens":9223372036854775808`, "invalid_field", "max_output_tokens", "whole"},
		{`"max_output_tokens":16.5`, "invalid_field", "max_output_tokens", "whole"},
		{`"max_output_tokens":"16"`, "invalid_field", "max_output_tokens", "whole"},
		{`"max_tokens":16`, "unknown_field", "max_tokens", "max_tokens"},
		{`"n":1`, "unknown_field", "n", "n"},
		{`"temperature":2.01`, "invalid_field", "temperature", "from 0 to 2"},
		{`"temperature":-1e-9`, "invalid_field", "temperature", "from 0 to 2"},
		{`"top_p":1e999`, "invalid_field", "top_p", "from 0 to 1"},
		{`"top_logprobs":21`, "invalid_field", "top_logprobs", "from 0 to 20"},
		{`"truncation":"none"`, "invalid_field", "truncation", `"disabled"`},
		{`"store":"no"`, "invalid_field", "store", "true or false"},
		{`"metadata":"x"`, "invalid_field", "metadata", "object"},
		{`"metadata":{"a":1}`, "invalid_field", "metadata.a", "string"},
		{`"user":7`, "invalid_field", "user", "string"},
		{`"safety_identifier":"` + strings.Repeat("x", 513) + `"`, "invalid_field", "safety_identifier", "512"},
		{`"max_tool_calls":0`, "invalid_field", "max_tool_calls", "from 1"},
		{`"include":["reasoning.encrypted_content","web_search_call.action.sources"]`, "invalid_field", "include[1]", `"web_search_call.action.sources": tools that run at OpenAI are not offered`},
		{`"include":["web_search_call.<b>"],"tools":[{"type":"web_search"}]`, "invalid_field", "include[0]", `"web_search_call.?b?": tools that run at OpenAI`},
		{`"include":["message.input_image.image_url"]`, "invalid_field", "include[0]", "files and images"},
		{`"include":"reasoning.encrypted_content"`, "invalid_field", "include", "array"},
		{`"reasoning":{"effort":"ultra"}`, "invalid_field", "reasoning.effort", `"xhigh"`},
		{`"reasoning":{"summary":"long"}`, "invalid_field", "reasoning.summary", `"auto", "concise" or "detailed"`},
		{`"reasoning":{"generate_summary":true}`, "invalid_field", "reasoning.generate_summary", `"auto", "concise" or "detailed"`},
		{`"reasoning":{"max_tokens":1}`, "unknown_field", "reasoning.max_tokens", "max_tokens"},
		{`"instructions":["x"]`, "invalid_field", "instructions", "string"},
		{`"parallel_tool_calls":1`, "invalid_field", "parallel_tool_calls", "true or false"},
		{`"text":{"format":{"type":"json_schema","name":"a"}}`, "invalid_field", "text.format.schema", "missing"},
		{`"text":{"format":{"type":"json_schema","schema":{}}}`, "invalid_field", "text.format.name", "missing"},
		{`"text":{"format":{"type":"json_schema","name":"a b","schema":{}}}`, "invalid_field", "text.format.name", "letters"},
		{`"text":{"format":{"type":"json_schema","name":"a","schema":[]}}`, "invalid_field", "text.format.schema", "object"},
		{`"text":{"format":{"type":"json_schema","json_schema":{}}}`, "unknown_field", "text.format.json_schema", "json_schema"},
		{`"text":{"format":{"type":"json_object","schema":{}}}`, "invalid_field", "text.format", "json_schema"},
		{`"text":{"format":{"type":"grammar","definition":"x"}}`, "invalid_field", "text.format.type", `"json_schema"`},
		{`"text":{"format":{}}`, "invalid_field", "text.format.type", "missing"},
		{`"text":{"verbosity":"most"}`, "invalid_field", "text.verbosity", `"high"`},
		{`"text":{"stop":"x"}`, "unknown_field", "text.stop", "verbosity"},
	})
}

func TestResponsesToolsThatAreRefused(t *testing.T) {
	for _, kind := range []string{
		"web_search", "web_search_2025_08_26", "web_search_preview", "web_search_preview_2025_03_11", "file_search", "code_interpreter", "image_generation", "mcp", "computer", "computer_use_preview",
		"shell", "local_shell", "apply_patch", "programmatic_tool_calling", "namespace", "tool_search", "brand_new",
	} {
		// Wherever the type stands, it is what the refusal is about.
		checkResponsesRefusals(t, `{"model":"m","input":"hi","tools":[{"type":"custom","name":"ok"},%s]}`, []refusal{
			{`{"type":"` + kind + `","name":"x","tools":[],"server_url":"https://example.org"}`, "invalid_field", "tools[1]", "tool of type"},
			{`{"server_url":"https://example.org","type":"` + kind + `"}`, "invalid_field", "tools[1]", "tool of type"},
		})
	}
	checkResponsesRefusals(t, `{"model":"m","input":"hi","tools":[%s]}`, []refusal{
		{`{"name":"f"}`, "invalid_field", "tools[0]", `"function"`},
		{`"web_search"`, "invalid_field", "tools[0]", `"function"`},
		{`{"type":"mcp"}`, "invalid_field", "tools[0]", "no bound"},
		{`{"type":"function","function":{"name":"f"}}`, "unknown_field", "tools[0].function", "function"},
		{`{"type":"function"}`, "invalid_field", "tools[0].name", "missing"},
		{`{"type":"function","name":"` + strings.Repeat("f", 129) + `"}`, "invalid_field", "tools[0].name", "128"},
		{`{"type":"function","name":"josé"}`, "invalid_field", "tools[0].name", "letters"},
		{`{"type":"function","name":"f","parameters":true}`, "invalid_field", "tools[0].parameters", "object"},
		{`{"type":"function","name":"f","strict":"yes"}`, "invalid_field", "tools[0].strict", "true or false"},
		{`{"type":"function","name":"f","defer_loading":true}`, "invalid_field", "tools[0].defer_loading", "search"},
		{`{"type":"function","name":"f","async":true}`, "invalid_field", "tools[0].async", "later"},
		{`{"type":"function","name":"f","output_schema":{}}`, "invalid_field", "tools[0].output_schema", "bound"},
		{`{"type":"function","name":"f","allowed_callers":["direct","programmatic"]}`, "invalid_field", "tools[0].allowed_callers[1]", "direct"},
		{`{"type":"function","name":"f","format":{"type":"text"}}`, "unknown_field", "tools[0].format", "format"},
		{`{"type":"custom","name":"f","parameters":{}}`, "unknown_field", "tools[0].parameters", "parameters"},
		{`{"type":"custom","name":"f","format":{"type":"grammar","syntax":"lark"}}`, "invalid_field", "tools[0].format.definition", "missing"},
		{`{"type":"custom","name":"f","format":{"type":"grammar","syntax":"ebnf","definition":"x"}}`, "invalid_field", "tools[0].format.syntax", `"lark"`},
		{`{"type":"custom","name":"f","format":{"type":"text","definition":"x"}}`, "invalid_field", "tools[0].format", "grammar"},
		{`{"type":"custom","name":"f","format":{"syntax":"lark","definition":"x"}}`, "invalid_field", "tools[0].format.type", "missing"},
	})
	checkResponsesRefusals(t, `{"model":"m","input":"hi","tool_choice":%s}`, []refusal{
		{`"any"`, "invalid_field", "tool_choice", `"required"`},
		{`7`, "invalid_field", "tool_choice", "object"},
		{`{}`, "invalid_field", "tool_choice.type", "missing"},
		{`{"type":"web_search_preview"}`, "invalid_field", "tool_choice.type", "no bound"},
		{`{"type":"mcp","server_label":"x"}`, "invalid_field", "tool_choice.type", "no bound"},
		{`{"server_label":"x","type":"mcp"}`, "invalid_field", "tool_choice.server_label", "no bound"},
		{`{"type":"function"}`, "invalid_field", "tool_choice.name", "missing"},
		{`{"type":"function","function":{"name":"f"}}`, "unknown_field", "tool_choice.function", "function"},
		{`{"type":"function","name":"f","mode":"auto"}`, "invalid_field", "tool_choice", "either"},
		{`{"type":"custom","name":"f","tools":[]}`, "invalid_field", "tool_choice", "either"},
		{`{"type":"allowed_tools","mode":"auto","tools":[],"name":"f"}`, "invalid_field", "tool_choice", "either"},
		{`{"type":"allowed_tools","mode":"auto","tools":[]}`, "invalid_field", "tool_choice.tools", "missing"},
		{`{"type":"allowed_tools","tools":[{"type":"function","name":"f"}]}`, "invalid_field", "tool_choice.mode", "missing"},
		{`{"type":"allowed_tools","mode":"none","tools":[]}`, "invalid_field", "tool_choice.mode", `"required"`},
		{`{"type":"allowed_tools","mode":"auto","tools":[{"type":"mcp","server_label":"x"}]}`, "invalid_field", "tool_choice.tools[0].type", "no bound"},
		{`{"type":"allowed_tools","mode":"auto","tools":[{"type":"image_generation"}]}`, "invalid_field", "tool_choice.tools[0].type", "no bound"},
		{`{"type":"allowed_tools","mode":"auto","tools":[{"type":"function"}]}`, "invalid_field", "tool_choice.tools[0].name", "missing"},
	})
}

func TestInputItemsThatAreRefused(t *testing.T) {
	for _, kind := range []string{
		"compaction", "compaction_trigger", "additional_tools", "tool_search_call", "tool_search_output", "configuration_update", "program", "program_output", "file_search_call", "web_search_call",
		"image_generation_call", "code_interpreter_call", "computer_call", "computer_call_output", "local_shell_call", "local_shell_call_output", "shell_call", "shell_call_output",
		"apply_patch_call", "apply_patch_call_output", "mcp_call", "mcp_list_tools", "mcp_approval_request", "mcp_approval_response", "input_image", "input_file", "input_audio", "input_text",
	} {
		checkResponsesRefusals(t, `{"model":"m","input":[{"role":"user","content":"hi"},%s]}`, []refusal{
			{`{"type":"` + kind + `","id":"x_1","anything":[{"role":"user"}]}`, "invalid_field", "input[1]", `must not be of type "` + kind + `"`},
			{`{"id":"x_1","anything":1,"type":"` + kind + `"}`, "invalid_field", "input[1]", `must not be of type "` + kind + `"`},
		})
	}
	checkResponsesRefusals(t, `{"model":"m","input":[%s]}`, []refusal{
		{`{"type":"item_reference","id":"msg_1"}`, "invalid_field", "input[0]", "providerOptions.openai.store = false"},
		{`{"type":"item_reference","id":"msg_1"}`, "invalid_field", "input[0]", "send the items themselves"},
		{`{"id":"msg_1"}`, "invalid_field", "input[0]", "providerOptions.openai.store = false"},
		{`{"type":null,"id":"msg_1"}`, "invalid_field", "input[0]", "send the items themselves"},
		{`{"type":"brand new \" \u0000"}`, "invalid_field", "input[0]", "unknown type"},
		{`{"type":7,"role":"user","content":""}`, "invalid_field", "input[0].type", `"message"`},
		{`{"type":"` + strings.Repeat("a", 300) + `"}`, "invalid_field", "input[0].type", `"message"`},
		{`"hi"`, "invalid_field", "input[0]", "object"},
		{`null`, "invalid_field", "input[0]", "object"},
		{`{"content":"hi"}`, "invalid_field", "input[0].role", "missing"},
		{`{"role":"user"}`, "invalid_field", "input[0].content", "missing"},
		{`{"role":"user","content":null}`, "invalid_field", "input[0].content", "string or an array"},
		{`{"role":"tool","content":"hi"}`, "invalid_field", "input[0].role", `"developer"`},
		{`{"role":"user","content":"hi","name":"ana"}`, "unknown_field", "input[0].name", "name"},
		{`{"role":"user","content":"hi","phase":"thinking"}`, "invalid_field", "input[0].phase", `"commentary"`},
		{`{"role":"user","content":"hi","status":"done"}`, "invalid_field", "input[0].status", `"completed"`},
		{`{"role":"user","content":"hi","id":7}`, "invalid_field", "input[0].id", "string"},
		{`{"type":"message","role":"user","content":"hi","call_id":"c"}`, "unknown_field", "input[0].call_id", "call_id"},
		{`{"role":"user","content":["hi"]}`, "invalid_field", "input[0].content[0]", "input_text"},
		{`{"role":"user","content":[{"text":"hi"}]}`, "invalid_field", "input[0].content[0]", "input_text"},
		{`{"role":"user","content":[{"type":"text","text":"hi"}]}`, "invalid_field", "input[0].content[0]", "input_text"},
		{`{"role":"user","content":[{"type":"input_text"}]}`, "invalid_field", "input[0].content[0].text", "missing"},
		{`{"role":"assistant","content":[{"type":"refusal"}]}`, "invalid_field", "input[0].content[0].refusal", "missing"},
		{`{"role":"user","content":[{"type":"input_text","text":"hi"},{"image_url":"data:x","type":"input_image"}]}`, "invalid_field", "input[0].content[1]", "only text"},
		{`{"role":"user","content":[{"type":"input_file","file_id":"file_1"}]}`, "invalid_field", "input[0].content[0]", "only text"},
		{`{"role":"user","content":[{"type":"input_audio","input_audio":{}}]}`, "invalid_field", "input[0].content[0]", "only text"},
		{`{"role":"user","content":[{"type":"input_text","text":"hi","prompt_cache_breakpoint":{"mode":"explicit"}}]}`, "invalid_field", "input[0].content[0].prompt_cache_breakpoint", "cache"},
		{`{"role":"user","content":[{"type":"input_text","text":"hi","annotations":[]}]}`, "unknown_field", "input[0].content[0].annotations", "annotations"},
		{`{"role":"user","content":[{"type":"output_text","text":"hi"}]}`, "invalid_field", "input[0]", "assistant's"},
		{`{"content":[{"type":"refusal","refusal":"no"}],"role":"developer"}`, "invalid_field", "input[0]", "assistant's"},
		{`{"role":"assistant","content":[{"type":"output_text","text":"hi","annotations":{}}]}`, "invalid_field", "input[0].content[0].annotations", "array"},
		{`{"role":"assistant","content":[{"type":"output_text","text":7}]}`, "invalid_field", "input[0].content[0].text", "string"},
		{`{"type":"reasoning","id":"rs_1","summary":[]}`, "invalid_field", "input", "reasoning"},
	})
	checkResponsesRefusals(t, `{"model":"m","input":[{"type":"function_call","call_id":"c1","name":"f","arguments":""},{"type":"custom_tool_call","call_id":"c2","name":"g","input":""},%s]}`, []refusal{
		{`{"type":"function_call","call_id":"c1","name":"f","arguments":""}`, "invalid_field", "input[2].call_id", "earlier call"},
		{`{"type":"custom_tool_call","call_id":"c1","name":"f","input":""}`, "invalid_field", "input[2].call_id", "earlier call"},
		{`{"type":"function_call_output","call_id":"c3","output":""}`, "invalid_field", "input[2].call_id", "answers no call"},
		{`{"type":"function_call_output","call_id":"c3","output":""},{"type":"function_call","call_id":"c3","name":"f","arguments":""}`, "invalid_field", "input[2].call_id", "before its output"},
		{`{"type":"function_call_output","call_id":"c1","output":""},{"type":"function_call_output","call_id":"c1","output":""}`, "invalid_field", "input[3].call_id", "already"},
		{`{"type":"function_call_output","call_id":"c1","output":""},{"type":"function_call","call_id":"c1","name":"f","arguments":""}`, "invalid_field", "input[3].call_id", "earlier call"},
		{`{"type":"function_call_output","call_id":"c2","output":""}`, "invalid_field", "input[2].call_id", `"custom_tool_call_output"`},
		{`{"type":"custom_tool_call_output","call_id":"c1","output":""}`, "invalid_field", "input[2].call_id", `"function_call_output"`},
		{`{"type":"function_call_output","output":""}`, "invalid_field", "input[2].call_id", "missing"},
		{`{"type":"function_call_output","call_id":null,"output":""}`, "invalid_field", "input[2].call_id", "missing"},
		{`{"type":"function_call_output","call_id":"c1"}`, "invalid_field", "input[2].output", "missing"},
		{`{"type":"function_call_output","call_id":"c1","output":{"a":1}}`, "invalid_field", "input[2].output", "string or an array"},
		{`{"type":"function_call_output","call_id":"c1","output":[{"type":"input_image","file_id":"x"}]}`, "invalid_field", "input[2].output[0]", "only text"},
		{`{"type":"function_call_output","call_id":"c1","output":[{"type":"output_text","text":"x"}]}`, "invalid_field", "input[2].output[0]", "input_text"},
		{`{"type":"function_call","call_id":"","name":"f","arguments":""}`, "invalid_field", "input[2].call_id", "empty"},
		{`{"type":"function_call","call_id":"` + strings.Repeat("c", 257) + `","name":"f","arguments":""}`, "invalid_field", "input[2].call_id", "256"},
		{`{"type":"function_call","name":"f","arguments":""}`, "invalid_field", "input[2].call_id", "missing"},
		{`{"type":"function_call","call_id":"c","arguments":""}`, "invalid_field", "input[2].name", "missing"},
		{`{"type":"function_call","call_id":"c","name":"f"}`, "invalid_field", "input[2].arguments", "missing"},
		{`{"type":"custom_tool_call","call_id":"c","name":"f"}`, "invalid_field", "input[2].input", "missing"},
		{`{"type":"function_call","call_id":"c","name":"f","arguments":{}}`, "invalid_field", "input[2].arguments", "string"},
		{`{"type":"function_call","call_id":"c","name":"f","arguments":"","caller":{"type":"program","caller_id":"x"}}`, "invalid_field", "input[2].caller.type", "direct"},
		{`{"type":"function_call","call_id":"c","name":"f","arguments":"","async":true}`, "invalid_field", "input[2].async", "later"},
		{`{"type":"function_call","call_id":"c","name":"f","arguments":"","input":""}`, "unknown_field", "input[2].input", "input"},
	})
}

func TestInputIsNeededAndReadable(t *testing.T) {
	checkResponsesRefusals(t, `%s`, []refusal{
		{`{"model":"m"}`, "invalid_field", "input", "missing"},
		{`{"model":"m","input":null}`, "invalid_field", "input", "missing"},
		{`{"model":"m","input":""}`, "invalid_field", "input", "empty"},
		{`{"model":"m","input":[]}`, "invalid_field", "input", "empty"},
		{`{"model":"m","input":{"role":"user","content":"hi"}}`, "invalid_field", "input", "array"},
		{`{"model":"m","input":[1,2]}`, "invalid_field", "input[0]", "object"},
		{`{"input":"hi"}`, "invalid_field", "model", "missing"},
		{`{"input":"hi","model":null}`, "invalid_field", "model", "missing"},
		{`{"input":"hi","model":""}`, "invalid_field", "model", "empty"},
		{`{"input":"hi","model":"` + strings.Repeat("m", 129) + `"}`, "invalid_field", "model", "128"},
		{`{"model":"m","messages":[]}`, "unknown_field", "messages", "messages"},
		{`[]`, "invalid_json", "", "JSON"},
		{``, "invalid_json", "", "JSON"},
		{`{"model":"m","input":"hi"} x`, "invalid_json", "", "JSON"},
		{`{"model":"m","input":[{"role":"user","content":"hi"}`, "invalid_json", "", "JSON"},
		{"{\"model\":\"m\",\"input\":\"\xff\"}", "invalid_utf8", "", "UTF-8"},
		{`{"model":"m","input":[{"role":"user","content":"cut \ud83d"}]}`, "invalid_utf8", "input[0].content", `Field "input[0].content" holds half a character`},
	})
}

// Two readers must never see two different requests in one body.
func TestResponsesMembersAreUnique(t *testing.T) {
	checkResponsesRefusals(t, `%s`, []refusal{
		{`{"model":"m","input":"hi","model":"n"}`, "duplicate_field", "model", "more than once"},
		{`{"model":"m","input":"hi","store":null,"store":true}`, "duplicate_field", "store", "more than once"},
		{`{"model":"m","input":"hi","\u006dodel":"n"}`, "duplicate_field", "model", "more than once"},
		{`{"model":"m","input":"hi","Background":true}`, "duplicate_field", "Background", `"background"`},
		{`{"model":"m","input":"hi","max_output_token\u017f":20}`, "duplicate_field", "max_output_tokenſ", `"max_output_tokens"`},
		{`{"model":"m","input":[{"role":"user","content":"hi","role":"system"}]}`, "duplicate_field", "role", "more than once"},
		{`{"model":"m","input":[{"role":"user","content":"hi","Role":"system"}]}`, "duplicate_field", "input[0].Role", `"role"`},
		{`{"model":"m","input":[{"type":"message","role":"user","content":"hi","type":"item_reference"}]}`, "duplicate_field", "type", "more than once"},
		{`{"model":"m","input":[{"role":"user","content":[{"type":"input_text","text":"a","text":"b"}]}]}`, "duplicate_field", "text", "more than once"},
		{`{"model":"m","input":[{"role":"user","content":[{"type":"input_text","Text":"a"}]}]}`, "duplicate_field", "input[0].content[0].Text", `"text"`},
		{`{"model":"m","input":[{"type":"reasoning","summary":[{"a":1,"a":2}]},{"role":"user","content":"hi"}]}`, "duplicate_field", "a", "more than once"},
		{`{"model":"m","input":"hi","tools":[{"type":"function","name":"f","parameters":{"p":{"a":1,"a":2}}}]}`, "duplicate_field", "a", "more than once"},
		{`{"model":"m","input":"hi","tools":[{"type":"function","name":"f","Name":"g"}]}`, "duplicate_field", "tools[0].Name", `"name"`},
		{`{"model":"m","input":"hi","text":{"format":{"type":"json_schema","name":"n","schema":{"x":[{"b":1,"b":1}]}}}}`, "duplicate_field", "b", "more than once"},
		{`{"model":"m","input":"hi","text":{"Format":{}}}`, "duplicate_field", "text.Format", `"format"`},
		{`{"model":"m","input":"hi","reasoning":{"effort":"low","EFFORT":"max"}}`, "duplicate_field", "reasoning.EFFORT", `"effort"`},
	})
}

func TestResponsesRequestsAreBounded(t *testing.T) {
	message := `{"role":"user","content":"hi"}`
	part := `{"type":"input_text","text":"hi"}`
	nested := func(depth int) string {
		return strings.Repeat(`{"a":`, depth) + "1" + strings.Repeat("}", depth)
	}
	pairs := func(n int) string {
		list := make([]string, n)
		for i := range list {
			list[i] = fmt.Sprintf(`"k%d":"v"`, i)
		}
		return "{" + strings.Join(list, ",") + "}"
	}
	name := func(n int) string { return `"` + strings.Repeat("n", n) + `"` }
	many := func(n int, s string) string { return "[" + strings.TrimSuffix(strings.Repeat(s+",", n), ",") + "]" }
	for _, bound := range []struct{ frame, most, more, param string }{
		{`{"model":"m","input":%s}`, many(2000, message), many(2001, message), "input"},
		{`{"model":"m","input":[{"role":"user","content":%s}]}`, many(250, part), many(251, part), "input[0].content"},
		{`{"model":"m","input":[{"type":"function_call","call_id":"c","name":"f","arguments":""},{"type":"function_call_output","call_id":"c","output":%s}]}`, many(250, part), many(251, part), "input[1].output"},
		{`{"model":"m","input":"hi","tools":%s}`, many(128, `{"type":"custom","name":"f"}`), many(129, `{"type":"custom","name":"f"}`), "tools"},
		{`{"model":"m","input":"hi","tool_choice":{"type":"allowed_tools","mode":"auto","tools":%s}}`, many(128, `{"type":"custom","name":"f"}`), many(129, `{"type":"custom","name":"f"}`), "tool_choice.tools"},
		{`{"model":"m","input":"hi","tools":[{"type":"function","name":"f","parameters":%s}]}`, nested(48), nested(49), "tools[0].parameters"},
		{`{"model":"m","input":"hi","text":{"format":{"type":"json_schema","name":"f","schema":%s}}}`, nested(48), nested(49), "text.format.schema"},
		{`{"model":"m","input":"hi","tools":[{"type":"function","name":"f","parameters":%s}]}`, nested(1), nested(100), "tools[0].parameters"},
		{`{"model":"m","input":"hi","tools":[{"type":"function","name":%s}]}`, name(128), name(129), "tools[0].name"},
		{`{"model":"m","input":"hi","tools":[{"type":"custom","name":%s}]}`, name(128), name(129), "tools[0].name"},
		{`{"model":"m","input":"hi","tool_choice":{"type":"function","name":%s}}`, name(128), name(129), "tool_choice.name"},
		{`{"model":"m","input":"hi","tool_choice":{"type":"allowed_tools","mode":"auto","tools":[{"type":"function","name":%s}]}}`, name(128), name(129), "tool_choice.tools[0].name"},
		{`{"model":"m","input":[{"type":"function_call","call_id":"c","arguments":"","name":%s},{"type":"function_call_output","call_id":"c","output":""}]}`, name(128), name(129), "input[0].name"},
		{`{"model":"m","input":"hi","text":{"format":{"type":"json_schema","schema":{},"name":%s}}}`, name(64), name(65), "text.format.name"},
		{`{"model":"m","input":"hi","metadata":%s}`, pairs(16), pairs(17), "metadata"},
		{`{"model":"m","input":"hi","max_output_tokens":%s}`, "16", "15", "max_output_tokens"},
		{`{"model":"m","input":[{"role":"user","content":"hi","id":"%s"}]}`, strings.Repeat("i", 512), strings.Repeat("i", 513), "input[0].id"},
	} {
		if _, err := wire.ReadResponsesRequest(fmt.Appendf(nil, bound.frame, bound.most)); err != nil {
			t.Errorf("%s: the most is refused: %v", bound.param, err)
		}
		_, err := wire.ReadResponsesRequest(fmt.Appendf(nil, bound.frame, bound.more))
		if e := apierr.From(err); err == nil || e.Status != 400 || e.Param != bound.param {
			t.Errorf("%s: more than the most gets %v about %q", bound.param, err, e.Param)
		}
	}
}
