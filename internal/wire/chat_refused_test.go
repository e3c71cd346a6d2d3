package wire_test

import (
	"fmt"
	"strings"
	"testing"

	"keyshield/internal/wire"
)

// Null is the same as absent, also where OpenAI's description does not say so: some clients write
// all they know.
func TestNullIsAbsent(t *testing.T) {
	var nulls []string
	for _, field := range []string{
		"stream", "max_tokens", "max_completion_tokens", "n", "seed", "stop", "logit_bias", "logprobs", "top_logprobs", "presence_penalty", "frequency_penalty",
		"tools", "tool_choice", "parallel_tool_calls", "functions", "function_call", "response_format", "store", "user",
		"audio", "prediction", "web_search_options", "prompt_cache_options",
	} {
		nulls = append(nulls, fmt.Sprintf("%q:null", field))
	}
	for _, body := range []string{
		chat(strings.Join(nulls, ",")),
		saying(`{"role":"user","content":"Hi","name":null,"tool_calls":null,"tool_call_id":null,"annotations":null,"parsed":null}`),
	} {
		got, _ := readChat(t, body).Append(nil, sentChat)
		if want := `{"model":"m","messages":[{"role":"user","content":"Hi"}],` + chatTail; string(got) != want {
			t.Errorf("%s became %s, want %s", body, got, want)
		}
	}
}

var chatRefusals = []refusal{
	{`{`, "invalid_json", "", "JSON"},
	{`[]`, "invalid_json", "", "JSON"},
	{chat(`"stop":"\ud800"`), "invalid_utf8", "stop", "half a character"},
	{saying(`{"role":"user","content":[{"type":"text","text":"cut \ud83d"}]}`), "invalid_utf8", "messages[0].content[0].text", `Field "messages[0].content[0].text" holds half a character`},
	{`{}`, "invalid_field", "model", "missing"},
	{`{"model":null,"messages":[{"role":"user","content":"Hi"}]}`, "invalid_field", "model", "missing"},
	{`{"model":"m"}`, "invalid_field", "messages", "missing"},
	{`{"model":"m","messages":null}`, "invalid_field", "messages", "missing"},
	{`{"model":"","messages":[]}`, "invalid_field", "model", "empty"},
	{`{"model":"` + strings.Repeat("m", 129) + `"}`, "invalid_field", "model", "128"},
	{saying(``), "invalid_field", "messages", "at least one"},
	{saying(strings.Repeat(`{"role":"user","content":""},`, 2000) + `{"role":"user","content":""}`), "invalid_field", "messages", "2000"},

	{chat(`"Stream":true`), "duplicate_field", "Stream", `must be written "stream"`},
	{chat(`"stream":true,"stream":true`), "duplicate_field", "stream", "more than once"},
	{chat(`"stream":true,"stream_options":{"Include_usage":true}`), "duplicate_field", "stream_options.Include_usage", "include_usage"},
	{saying(`{"role":"user","content":"a","Content":"b"}`), "duplicate_field", "messages[0].Content", "content"},
	{saying(`{"role":"user","content":"a","content":"b"}`), "duplicate_field", "content", "more than once"},
	{saying(`{"role":"user","content":[{"type":"text","TEXT":"b"}]}`), "duplicate_field", "messages[0].content[0].TEXT", "text"},
	{chat(`"tools":[{"type":"function","function":{"name":"f","parameters":{"a":{"b":1,"b":2}}}}]`), "duplicate_field", "b", "more than once"},
	{chat(`"logit_bias":{"5":1,"5":2}`), "duplicate_field", "5", "more than once"},
	{chat(`"tools":[{"type":"function","function":{"Name":"f"}}]`), "duplicate_field", "tools[0].function.Name", "name"},

	{chat(`"max_output_tokens":5`), "unknown_field", "max_output_tokens", "max_output_tokens"},
	{chat(`"background":true`), "unknown_field", "background", ""},
	{chat(`"thinking":null`), "unknown_field", "thinking", ""},
	{chat(`"stream":true,"stream_options":{"usage":true}`), "unknown_field", "stream_options.usage", "include_obfuscation"},
	{saying(`{"role":"user","content":"a","cache_control":null}`), "unknown_field", "messages[0].cache_control", ""},
	{saying(`{"role":"user","content":[{"type":"text","text":"a","id":1}]}`), "unknown_field", "messages[0].content[0].id", ""},
	{chat(`"functions":[{"name":"f","strict":true}]`), "unknown_field", "functions[0].strict", ""},
	{chat(`"response_format":{"type":"text","schema":{}}`), "unknown_field", "response_format.schema", ""},
	{chat(`"tools":[{"type":"custom","custom":{"name":"c","format":{"type":"grammar","grammar":{"syntax":"lark","definition":"x","more":1}}}}]`), "unknown_field", "tools[0].custom.format.grammar.more", ""},

	{chat(`"n":2`), "invalid_field", "n", "billed"},
	{chat(`"n":0`), "invalid_field", "n", "at least 1"},
	{chat(`"n":"1"`), "invalid_field", "n", "whole number"},
	{chat(`"max_tokens":0`), "invalid_field", "max_tokens", "at least 1"},
	{chat(`"max_completion_tokens":-1`), "invalid_field", "max_completion_tokens", "at least 1"},
	{chat(`"max_completion_tokens":9223372036854775808`), "invalid_field", "max_completion_tokens", ""},
	{chat(`"max_completion_tokens":5,"max_tokens":6`), "invalid_field", "max_tokens", "contradicts"},
	{chat(`"temperature":2.01`), "invalid_field", "temperature", "from 0 to 2"},
	{chat(`"temperature":"1"`), "invalid_field", "temperature", "number"},
	{chat(`"top_p":-0.1`), "invalid_field", "top_p", "from 0 to 1"},
	{chat(`"presence_penalty":3`), "invalid_field", "presence_penalty", "from -2 to 2"},
	{chat(`"frequency_penalty":-3`), "invalid_field", "frequency_penalty", "from -2 to 2"},
	{chat(`"seed":1.5`), "invalid_field", "seed", "whole"},
	{chat(`"top_logprobs":21`), "invalid_field", "top_logprobs", "20"},
	{chat(`"logprobs":1`), "invalid_field", "logprobs", "true or false"},
	{chat(`"stream":"true"`), "invalid_field", "stream", "true or false"},
	{chat(`"store":1`), "invalid_field", "store", "true or false"},
	{chat(`"stream":false,"stream_options":{}`), "invalid_field", "stream_options", `needs "stream": true`},
	{chat(`"stream_options":{"include_usage":true}`), "invalid_field", "stream_options", `needs "stream": true`},
	{chat(`"tool_choice":"auto"`), "invalid_field", "tool_choice", "needs tools"},
	{chat(`"parallel_tool_calls":true`), "invalid_field", "parallel_tool_calls", "needs tools"},
	{chat(`"function_call":"auto"`), "invalid_field", "function_call", "needs functions"},
	{chat(`"stop":[]`), "invalid_field", "stop", "empty"},
	{chat(`"stop":""`), "invalid_field", "stop", "empty"},
	{chat(`"stop":["a","b","c","d","e"]`), "invalid_field", "stop", "4"},
	{chat(`"stop":[["a"]]`), "invalid_field", "stop[0]", "string"},
	{chat(`"stop":"` + strings.Repeat("x", 1025) + `"`), "invalid_field", "stop", "1024"},
	{chat(`"logit_bias":{"the":1}`), "invalid_field", "logit_bias.the", "token id"},
	{chat(`"logit_bias":{"05":1}`), "invalid_field", "logit_bias.05", "token id"},
	{chat(`"logit_bias":{"-5":1}`), "invalid_field", "logit_bias.-5", "token id"},
	{chat(`"logit_bias":{"5":101}`), "invalid_field", "logit_bias.5", "100"},
	{chat(`"logit_bias":[5]`), "invalid_field", "logit_bias", "object"},
	{chat(`"logit_bias":{` + numbered(1025, `"%d":1`) + `}`), "invalid_field", "logit_bias", "1024"},
	{chat(`"metadata":{"a":1}`), "invalid_field", "metadata.a", "string"},
	{chat(`"metadata":{` + numbered(17, `"k%d":""`) + `}`), "invalid_field", "metadata", "16"},
	{chat(`"metadata":{"` + strings.Repeat("k", 65) + `":""}`), "invalid_field", "metadata." + strings.Repeat("k", 64) + "…", "64"},
	{chat(`"user":"` + strings.Repeat("u", 513) + `"`), "invalid_field", "user", "512"},
	{chat(`"safety_identifier":7`), "invalid_field", "safety_identifier", "string"},
	{chat(`"service_tier":"scale"`), "invalid_field", "service_tier", "flex"},
	{chat(`"reasoning_effort":"ultra"`), "invalid_field", "reasoning_effort", "minimal"},
	{chat(`"verbosity":"loud"`), "invalid_field", "verbosity", "medium"},
	{chat(`"modalities":["text","audio"]`), "invalid_field", "modalities[1]", "audio has a price"},
	{chat(`"modalities":[]`), "invalid_field", "modalities", `["text"]`},
	{chat(`"modalities":"text"`), "invalid_field", "modalities", "array"},

	{saying(`"Hi"`), "invalid_field", "messages[0]", "object"},
	{saying(`{"role":"user","content":"a"},null`), "invalid_field", "messages[1]", "object"},
	{saying(`{"content":"a"}`), "invalid_field", "messages[0].role", "missing"},
	{saying(`{"role":"critic","content":"a"}`), "invalid_field", "messages[0].role", "developer"},
	{saying(`{"role":"user"}`), "invalid_field", "messages[0].content", "missing"},
	{saying(`{"role":"user","content":null}`), "invalid_field", "messages[0].content", "missing"},
	{saying(`{"role":"assistant"}`), "invalid_field", "messages[0].content", "missing"},
	{saying(`{"role":"user","content":7}`), "invalid_field", "messages[0].content", "text parts"},
	{saying(`{"role":"user","content":{"type":"text","text":"a"}}`), "invalid_field", "messages[0].content", "array of text parts"},
	{saying(`{"role":"user","content":[]}`), "invalid_field", "messages[0].content", "empty"},
	{saying(`{"role":"user","content":["a"]}`), "invalid_field", "messages[0].content[0]", "object"},
	{saying(`{"role":"user","content":[{"text":"a"}]}`), "invalid_field", "messages[0].content[0].type", "missing"},
	{saying(`{"role":"user","content":[{"type":"text"}]}`), "invalid_field", "messages[0].content[0].text", "missing"},
	{saying(`{"role":"user","content":[{"type":"text","text":null}]}`), "invalid_field", "messages[0].content[0].text", "missing"},
	{saying(`{"role":"user","content":[{"type":"input_text","text":"a"}]}`), "invalid_field", "messages[0].content[0].type", `"text"`},
	{saying(`{"role":"user","content":[` + numbered(251, `{"type":"text","text":"%d"}`) + `]}`), "invalid_field", "messages[0].content", "250"},
	{saying(`{"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{"url":"https://example.com/a.png"}}]}`), "invalid_field", "messages[0].content[1].type", "image"},
	{saying(`{"role":"user","content":[{"image_url":{"url":"https://example.com/a.png"},"type":"image_url"}]}`), "invalid_field", "messages[0].content[0].image_url", "bytes"},
	{saying(`{"role":"user","content":[{"type":"input_audio","input_audio":{"data":"","format":"wav"}}]}`), "invalid_field", "messages[0].content[0].type", "audio"},
	{saying(`{"role":"user","content":[{"type":"file","file":{"file_id":"file-1"}}]}`), "invalid_field", "messages[0].content[0].type", "storage"},
	{saying(`{"role":"user","content":[{"type":"text","text":"a","prompt_cache_breakpoint":{"mode":"explicit"}}]}`), "invalid_field", "messages[0].content[0].prompt_cache_breakpoint", "cache"},
	{saying(`{"role":"user","content":[{"type":"refusal","refusal":"a"}]}`), "invalid_field", "messages[0].content", "assistant only"},
	{saying(`{"role":"assistant","content":[{"type":"refusal","refusal":"a","text":"b"}]}`), "invalid_field", "messages[0].content[0].text", "refusal"},
	{saying(`{"role":"user","content":"a","name":"a b"}`), "invalid_field", "messages[0].name", "spaces"},
	{saying(`{"role":"user","content":"a","name":"a\u2003b"}`), "invalid_field", "messages[0].name", "spaces"},
	{saying(`{"role":"user","content":"a","name":"a\u0000"}`), "invalid_field", "messages[0].name", "control"},
	{saying(`{"name":"a\u0085","role":"user","content":"a"}`), "invalid_field", "messages[0].name", "control"},
	{saying(`{"role":"system","content":"a","name":"<|a"}`), "invalid_field", "messages[0].name", "any of"},
	{saying(`{"role":"assistant","content":"a","name":"a/b"}`), "invalid_field", "messages[0].name", "any of"},
	{saying(`{"role":"user","content":"a","name":"a\\b"}`), "invalid_field", "messages[0].name", "any of"},
	{saying(`{"role":"user","content":"a","name":""}`), "invalid_field", "messages[0].name", "empty"},
	{saying(`{"role":"user","content":"a","name":"` + strings.Repeat("é", 33) + `"}`), "invalid_field", "messages[0].name", "64"},
	{saying(`{"name":"josé","role":"function","content":"a"}`), "invalid_field", "messages[0].name", "letters"},
	{saying(`{"role":"function","content":"a","name":"john.doe"}`), "invalid_field", "messages[0].name", "letters"},
	{saying(`{"role":"user","content":"a","name":"` + strings.Repeat("n", 65) + `"}`), "invalid_field", "messages[0].name", "64"},
	{saying(`{"role":"user","content":"a","tool_calls":[]}`), "invalid_field", "messages[0].tool_calls", "assistant"},
	{saying(`{"role":"user","content":"a","refusal":""}`), "invalid_field", "messages[0].refusal", "assistant"},
	{saying(`{"role":"user","content":"a","parsed":1}`), "invalid_field", "messages[0].parsed", "assistant"},
	{saying(`{"role":"user","content":"a","tool_call_id":"x"}`), "invalid_field", "messages[0].tool_call_id", "tool"},
	{saying(`{"role":"assistant","content":"a","audio":{"id":"audio_1"}}`), "invalid_field", "messages[0].audio", "stored"},
	{saying(`{"role":"assistant","content":"a","annotations":{}}`), "invalid_field", "messages[0].annotations", "array"},
	{saying(`{"role":"function","content":"a"}`), "invalid_field", "messages[0].name", "which function"},
	{saying(`{"role":"function","name":"f","content":[{"type":"text","text":"a"}]}`), "invalid_field", "messages[0].content", "string"},

	{saying(`{"role":"tool","content":"a"}`), "invalid_field", "messages[0].tool_call_id", "which call"},
	{saying(`{"role":"tool","tool_call_id":"x","content":"a"}`), "invalid_field", "messages[0].tool_call_id", `"x"`},
	{saying(`{"role":"tool","tool_call_id":"x","content":"a"},` + calling("x")), "invalid_field", "messages[0].tool_call_id", "before it"},
	{saying(calling("x") + `,{"role":"tool","tool_call_id":"x"}`), "invalid_field", "messages[1].content", "missing"},
	{saying(calling("x") + answering("x") + answering("x")), "invalid_field", "messages[2].tool_call_id", "second time"},
	{saying(calling("x") + answering("x") + "," + calling("x")), "invalid_field", "messages[2].tool_calls", "second time"},
	{saying(`{"role":"assistant","tool_calls":[{"type":"function","function":{"name":"f","arguments":""}}]}`), "invalid_field", "messages[0].tool_calls[0].id", "missing"},
	{saying(`{"role":"assistant","tool_calls":[{"id":"x","function":{"name":"f","arguments":""}}]}`), "invalid_field", "messages[0].tool_calls[0].type", "missing"},
	{saying(`{"role":"assistant","tool_calls":[{"id":"x","type":"function"}]}`), "invalid_field", "messages[0].tool_calls[0].function", "missing"},
	{saying(`{"role":"assistant","tool_calls":[{"id":"x","type":"custom","function":{"name":"f","arguments":""}}]}`), "invalid_field", "messages[0].tool_calls[0].custom", "missing"},
	{saying(`{"role":"assistant","tool_calls":[{"id":"x","type":"function","function":{"arguments":""}}]}`), "invalid_field", "messages[0].tool_calls[0].function.name", "missing"},
	{saying(`{"role":"assistant","tool_calls":[{"id":"x","type":"function","function":{"name":"f"}}]}`), "invalid_field", "messages[0].tool_calls[0].function.arguments", "missing"},
	{saying(`{"role":"assistant","tool_calls":[{"id":"x","type":"function","function":{"name":"f","arguments":{}}}]}`), "invalid_field", "messages[0].tool_calls[0].function.arguments", "string"},
	{saying(`{"role":"assistant","tool_calls":[{"id":"x","type":"custom","custom":{"name":"f","input":"","parsed_arguments":1}}]}`), "unknown_field", "messages[0].tool_calls[0].custom.parsed_arguments", ""},
	{saying(`{"role":"assistant","tool_calls":[{"id":"x","type":"function","function":{"name":"f","arguments":""},"custom":{"name":"f","input":""}}]}`), "invalid_field", "messages[0].tool_calls[0]", "both"},
	{saying(`{"role":"assistant","tool_calls":[{"id":"` + strings.Repeat("x", 257) + `"}]}`), "invalid_field", "messages[0].tool_calls[0].id", "256"},
	{saying(`{"role":"assistant","tool_calls":[` + numbered(129, `{"id":"%d","type":"function","function":{"name":"f","arguments":""}}`) + `]}`), "invalid_field", "messages[0].tool_calls", "128"},

	{chat(`"tools":[]`), "invalid_field", "tools", "leave it out"},
	{chat(`"tools":[{"type":"web_search"}]`), "invalid_field", "tools[0].type", "no bound"},
	{chat(`"tools":[{"type":"mcp","server_url":"https://example.com"}]`), "invalid_field", "tools[0].type", "function"},
	{chat(`"tools":[{"function":{"name":"f"}}]`), "invalid_field", "tools[0].type", "missing"},
	{chat(`"tools":[{"type":"function"}]`), "invalid_field", "tools[0].function", "missing"},
	{chat(`"tools":[{"type":"function","function":{"name":"f"},"custom":{"name":"c"}}]`), "invalid_field", "tools[0]", "both"},
	{chat(`"tools":[{"type":"function","function":{}}]`), "invalid_field", "tools[0].function.name", "missing"},
	{chat(`"tools":[{"type":"function","function":{"name":"a.b"}}]`), "invalid_field", "tools[0].function.name", "letters"},
	{chat(`"tools":[{"type":"function","function":{"name":"f","parameters":[]}}]`), "invalid_field", "tools[0].function.parameters", "object"},
	{chat(`"tools":[{"type":"function","function":{"name":"f","parameters":` + objectsDeep(49) + `}}]`), "invalid_field", "tools[0].function.parameters", "48"},
	{chat(`"tools":[{"type":"function","function":{"name":"f","strict":"yes"}}]`), "invalid_field", "tools[0].function.strict", "true or false"},
	{chat(`"tools":[` + numbered(129, `{"type":"function","function":{"name":"f%d"}}`) + `]`), "invalid_field", "tools", "128"},
	{chat(`"tools":[{"type":"custom","custom":{"name":"c","format":{"type":"grammar"}}}]`), "invalid_field", "tools[0].custom.format.grammar", "missing"},
	{chat(`"tools":[{"type":"custom","custom":{"name":"c","format":{"type":"text","grammar":{"syntax":"lark","definition":"x"}}}}]`), "invalid_field", "tools[0].custom.format.grammar", "no place"},
	{chat(`"tools":[{"type":"custom","custom":{"name":"c","format":{"type":"grammar","grammar":{"syntax":"bnf","definition":"x"}}}}]`), "invalid_field", "tools[0].custom.format.grammar.syntax", "lark"},
	{chat(`"tools":[{"type":"custom","custom":{"name":"c","format":{"type":"grammar","grammar":{"syntax":"lark"}}}}]`), "invalid_field", "tools[0].custom.format.grammar.definition", "missing"},
	{chat(`"tools":[{"type":"custom","custom":{"name":"c","format":{}}}]`), "invalid_field", "tools[0].custom.format.type", "missing"},
	{chat(`"tools":[{"type":"custom","custom":{"description":"d"}}]`), "invalid_field", "tools[0].custom.name", "missing"},
	{chat(`"functions":[]`), "invalid_field", "functions", "leave it out"},
	{chat(`"functions":[{"description":"d"}]`), "invalid_field", "functions[0].name", "missing"},
	{withTool(`"any"`), "invalid_field", "tool_choice", "required"},
	{withTool(`{}`), "invalid_field", "tool_choice.type", "missing"},
	{withTool(`{"type":"file_search"}`), "invalid_field", "tool_choice.type", "no bound"},
	{withTool(`{"type":"function"}`), "invalid_field", "tool_choice.function", "missing"},
	{withTool(`{"type":"function","function":{}}`), "invalid_field", "tool_choice.function.name", "missing"},
	{withTool(`{"type":"allowed_tools"}`), "invalid_field", "tool_choice.allowed_tools", "missing"},
	{withTool(`{"type":"allowed_tools","allowed_tools":{"tools":[{"type":"function","function":{"name":"f"}}]}}`), "invalid_field", "tool_choice.allowed_tools.mode", "missing"},
	{withTool(`{"type":"allowed_tools","allowed_tools":{"mode":"auto"}}`), "invalid_field", "tool_choice.allowed_tools.tools", "missing"},
	{withTool(`{"type":"allowed_tools","allowed_tools":{"mode":"auto","tools":[]}}`), "invalid_field", "tool_choice.allowed_tools.tools", "empty"},
	{withTool(`{"type":"allowed_tools","allowed_tools":{"mode":"auto","tools":[{"type":"image_generation"}]}}`), "invalid_field", "tool_choice.allowed_tools.tools[0].type", "no bound"},
	{withTool(`{"type":"function","function":{"name":"f"},"allowed_tools":{"mode":"auto","tools":[{"type":"function","function":{"name":"f"}}]}}`), "invalid_field", "tool_choice.allowed_tools", "no place"},
	{withTool(`{"type":"allowed_tools","function":{"name":"f"},"allowed_tools":{"mode":"auto","tools":[{"type":"function","function":{"name":"f"}}]}}`), "invalid_field", "tool_choice", "several"},
	{chat(`"response_format":"json"`), "invalid_field", "response_format", "object"},
	{chat(`"response_format":{"type":"grammar"}`), "invalid_field", "response_format.type", "json_schema"},
	{chat(`"response_format":{"type":"json_schema"}`), "invalid_field", "response_format.json_schema", "missing"},
	{chat(`"response_format":{"json_schema":{"name":"a"}}`), "invalid_field", "response_format.type", "missing"},
	{chat(`"response_format":{"type":"text","json_schema":{"name":"a"}}`), "invalid_field", "response_format.json_schema", "no place"},
	{chat(`"response_format":{"type":"json_schema","json_schema":{"schema":{}}}`), "invalid_field", "response_format.json_schema.name", "missing"},
	{chat(`"response_format":{"type":"json_schema","json_schema":{"name":"a","schema":` + objectsDeep(49) + `}}`), "invalid_field", "response_format.json_schema.schema", "48"},
}

func calling(id string) string {
	return `{"role":"assistant","tool_calls":[{"id":"` + id + `","type":"function","function":{"name":"f","arguments":"{}"}}]}`
}

func answering(id string) string { return `,{"role":"tool","tool_call_id":"` + id + `","content":"7"}` }

func withTool(choice string) string {
	return chat(`"tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":` + choice)
}

// numbered is a list of so many, with their numbers in them.
func numbered(n int, format string) string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf(format, i)
	}
	return strings.Join(list, ",")
}

// objectsDeep is an object so deep.
func objectsDeep(deep int) string {
	return strings.Repeat(`{"a":`, deep-1) + `{}` + strings.Repeat(`}`, deep-1)
}

func TestWhatIsRefusedInAChat(t *testing.T) {
	checkRefusals(t, reads(wire.ReadChatRequest), "%s", chatRefusals)
}

// TestTheLargestThatIsAccepted: every bound is reached before it is passed.
func TestTheLargestThatIsAccepted(t *testing.T) {
	for _, body := range []string{
		saying(strings.TrimSuffix(strings.Repeat(`{"role":"user","content":""},`, 2000), ",")),
		saying(`{"role":"user","content":[` + numbered(250, `{"type":"text","text":"%d"}`) + `]}`),
		saying(`{"role":"assistant","tool_calls":[` + numbered(128, `{"id":"%d","type":"function","function":{"name":"f","arguments":""}}`) + `]}`),
		saying(`{"role":"user","content":"a","name":"` + strings.Repeat("n", 64) + `"}`),
		saying(`{"role":"user","content":"a","name":"` + strings.Repeat("é", 32) + `"}`),
		saying(calling(strings.Repeat("x", 256))),
		strings.Replace(chat(""), `"m"`, `"`+strings.Repeat("m", 128)+`"`, 1),
		chat(`"tools":[` + numbered(128, `{"type":"function","function":{"name":"f%d"}}`) + `]`),
		chat(`"tools":[{"type":"function","function":{"name":"f","parameters":` + objectsDeep(48) + `}}]`),
		chat(`"response_format":{"type":"json_schema","json_schema":{"name":"a","schema":` + objectsDeep(48) + `}}`),
		chat(`"logit_bias":{` + numbered(1024, `"%d":-100`) + `}`),
		chat(`"metadata":{` + numbered(15, `"k%d":""`) + `,"` + strings.Repeat("k", 64) + `":"` + strings.Repeat("v", 512) + `"}`),
		chat(`"stop":["` + strings.Repeat("x", 1024) + `","b","c","d"]`),
		chat(`"temperature":2,"top_p":1,"presence_penalty":2,"frequency_penalty":-2,"top_logprobs":20,"seed":9223372036854775807`),
		chat(`"temperature":0,"top_p":0,"max_tokens":1,"user":"` + strings.Repeat("u", 512) + `","modalities":["text","text"]`),
	} {
		readChat(t, body)
	}
}
