package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// sentV1 are the members that may reach OpenAI at an endpoint. Whoever adds one must
// know what it can cost.
var sentV1 = map[string][]string{
	"/v1/chat/completions": {"model", "messages", "max_completion_tokens", "max_tokens", "service_tier", "reasoning_effort", "temperature", "top_p", "presence_penalty", "frequency_penalty", "stop", "seed", "logit_bias",
		"logprobs", "top_logprobs", "verbosity", "tools", "tool_choice", "parallel_tool_calls", "functions", "function_call", "response_format", "store", "safety_identifier", "stream", "stream_options"},
	"/v1/responses": {"model", "input", "instructions", "max_output_tokens", "service_tier", "reasoning", "temperature", "top_p", "top_logprobs", "include", "tools", "tool_choice", "parallel_tool_calls", "text", "truncation",
		"store", "safety_identifier", "stream", "stream_options"},
	"/v1/embeddings":  {"model", "input", "encoding_format", "dimensions"},
	"/v1/moderations": {"model", "input"},
}

// wantBounded checks that what arrived has only members whose cost is known, each
// once, and those that bound it.
func (r *rig) wantBounded(t testing.TB, sent string) {
	t.Helper()
	q := r.lastArrived(t)
	var members map[string]json.RawMessage
	if err := json.Unmarshal([]byte(q.Body), &members); err != nil {
		t.Fatalf("%.200s: what arrived is no JSON: %v", sent, err)
	}
	for name := range members {
		if !slices.Contains(sentV1[q.Path], name) {
			t.Errorf("%.200s: %q reached OpenAI", sent, name)
		}
		if strings.Count(q.Body, `"`+name+`":`) != 1 && name != "model" && name != "input" && name != "text" && name != "tools" {
			t.Errorf("%.200s: %q reached OpenAI more than once, or deeper too: %.300s", sent, name, q.Body)
		}
	}
	is := func(name string, want ...string) {
		t.Helper()
		if !slices.Contains(want, string(members[name])) {
			t.Errorf("%.200s: sent with %s %s, want one of %q", sent, name, members[name], want)
		}
	}
	is("model", `"gpt-6-luna"`, `"text-embedding-3-small"`, `"omni-moderation-latest"`)
	switch q.Path {
	case "/v1/chat/completions":
		is("store", "false")
		is("service_tier", `"default"`)
		is("max_completion_tokens", "1", "2", "10", "2048")
		if string(members["stream"]) == "true" && !strings.Contains(string(members["stream_options"]), `"include_usage":true`) {
			t.Errorf("%.200s: sent without include_usage: nobody says what it costs", sent)
		}
	case "/v1/responses":
		is("store", "false")
		is("service_tier", `"default"`)
		is("max_output_tokens", "16", "17", "2048")
	}
}

// trickV1 asks something that may be refused, or sent bounded, and nothing else.
func (r *rig) trickV1(t testing.TB, path, body string) {
	t.Helper()
	before := r.asked()
	got := r.post(path, body)
	calls := r.asked() - before
	switch {
	case got.status == 400 && calls == 0:
		if p := got.openAI(t); p.Message == "" || p.Code == "" {
			t.Errorf("%.200s: refused without a word: %s", body, got.body)
		}
	case got.status == 404 && calls == 0 && strings.Contains(body, "model"):
	case calls == 1 && (got.status == 200 || got.status == 400):
		r.wantBounded(t, body)
	default:
		t.Errorf("%.300s: %d after %d calls: %.300s", body, got.status, calls, got.body)
	}
}

// spellings are ways to write the name of a member.
func spellings(name string) []string {
	last := len(name) - 1
	return []string{
		name, fmt.Sprintf(`\u%04x%s`, name[0], name[1:]), fmt.Sprintf(`%s\u%04X`, name[:last], name[last]), strings.ToUpper(name), strings.ToUpper(name[:1]) + name[1:],
		name + " ", " " + name, name + `\u0000`, `\ufeff` + name, name + `\u200b`, strings.Replace(name, "s", "\u017f", 1), strings.Replace(name, "k", "\u212a", 1), name + "[]", name + "." + name, strings.ReplaceAll(name, "_", "-"), strings.ReplaceAll(name, "_", ""),
	}
}

// TestNoSpellingGetsACostlyFieldThrough: fields that cost without a bound, however
// their names and values are written, alone and beside a harmless twin.
func TestNoSpellingGetsACostlyFieldThrough(t *testing.T) {
	t.Parallel()
	r := startV1(t)
	fields := map[string][]string{
		"chat":        {`n:2`, `max_tokens:1e9`, `max_completion_tokens:99999`, `service_tier:"priority"`, `store:true`, `web_search_options:{}`, `prediction:{"type":"content","content":"x"}`, `audio:{"voice":"a","format":"wav"}`, `modalities:["text","audio"]`, `prompt_cache_key:"x"`, `stream_options:{"include_usage":false}`, `safety_identifier:"x"`, `model:"gpt-6-astra-pro"`},
		"responses":   {`max_output_tokens:99999`, `service_tier:"fast"`, `store:true`, `background:true`, `previous_response_id:"resp_1"`, `conversation:"conv_1"`, `prompt:{"id":"pmpt_1"}`, `context_management:[]`, `reasoning:{"mode":"pro"}`, `reasoning:{"summary":"detailed"}`, `tools:[{"type":"web_search"}]`, `include:["file_search_call.results"]`, `max_tool_calls:1`, `model:"o3-deep-research"`, `moderation:{}`, `prompt_cache_retention:"24h"`},
		"embeddings":  {`dimensions:1e9`, `model:"text-embedding-3-large"`, `input:[[1,2]]`, `input:[1]`, `service_tier:"priority"`},
		"moderations": {`input:[{"type":"image_url","image_url":{"url":"https://x/y.png"}}]`, `model:"text-moderation-latest"`, `model:"ft:omni-moderation:x"`, `n:5`},
	}
	for name, all := range fields {
		w := wayTo(name)
		for _, field := range all {
			member, value, _ := strings.Cut(field, ":")
			for i, spelt := range spellings(member) {
				one := fmt.Sprintf(`"%s":%s`, spelt, value)
				r.trickV1(t, w.path, w.body("hi", one))
				if i < 2 { // a twin of another case, before it and after
					twin := fmt.Sprintf(`"%s":null`, strings.ToUpper(member))
					r.trickV1(t, w.path, w.body("hi", twin, one))
					r.trickV1(t, w.path, w.body("hi", one, twin))
				}
			}
		}
	}
}

// TestNoNumberSlipsThrough where one is expected: as a string, beyond every number,
// negative, a fraction, or another type.
func TestNoNumberSlipsThrough(t *testing.T) {
	t.Parallel()
	r := startV1(t)
	numbers := []string{`"1"`, `1.0`, `1.5`, `1e0`, `1e400`, `-1e400`, `1e-400`, `-1`, `-0`, `0`, `9223372036854775807`, `9223372036854775808`, `18446744073709551617`, strings.Repeat("9", 400), `0.` + strings.Repeat("0", 400) + `1`,
		`1E+2`, `01`, `+1`, `.5`, `1.`, `0x10`, `1_0`, `NaN`, `Infinity`, `-Infinity`, `true`, `[]`, `[1]`, `{}`, `{"a":1}`, `""`, `null`, `2`, `2048`, `2049`, `4294967297`, "\uff11"}
	for name, members := range map[string][]string{
		"chat":        {"n", "max_tokens", "max_completion_tokens", "top_logprobs", "temperature", "top_p", "seed", "presence_penalty", "logit_bias", "stream", "store", "logprobs", "parallel_tool_calls", "stop", "service_tier", "model", "modalities"},
		"responses":   {"max_output_tokens", "temperature", "top_logprobs", "max_tool_calls", "stream", "background", "truncation", "reasoning", "text", "model", "include", "tools"},
		"embeddings":  {"dimensions", "encoding_format", "model", "user"},
		"moderations": {"model"},
	} {
		w := wayTo(name)
		for _, member := range members {
			few := numbers
			if !strings.Contains(member, "tokens") && member != "n" && member != "dimensions" {
				few = few[:13] // the others differ for who counts
			}
			for _, number := range few {
				r.trickV1(t, w.path, w.body("hi", fmt.Sprintf("%q:%s", member, number)))
			}
		}
	}
}

// TestDuplicatesAreRefusedAtEveryDepth, and twins that differ by case alone where
// members are ours.
func TestDuplicatesAreRefusedAtEveryDepth(t *testing.T) {
	t.Parallel()
	r := startV1(t)
	said := `{"role":"user","content":"hi"}`
	for path, bodies := range map[string][]string{
		"/v1/chat/completions": {
			`{"model":"gpt-6-luna","messages":[` + said + `],"n":1,"n":1}`, `{"model":"gpt-6-luna","messages":[` + said + `],"n":1,"\u006e":3}`, `{"model":"gpt-6-luna","model":"gpt-6-luna","messages":[` + said + `]}`,
			`{"model":"gpt-6-luna","messages":[{"role":"user","role":"system","content":"hi"}]}`, `{"model":"gpt-6-luna","messages":[{"role":"user","Role":"system","content":"hi"}]}`, `{"model":"gpt-6-luna","messages":[{"role":"user","content":"hi","\u0063ontent":[]}]}`,
			`{"model":"gpt-6-luna","messages":[{"role":"user","content":[{"type":"text","text":"a","TYPE":"image_url"}]}]}`, `{"model":"gpt-6-luna","messages":[{"role":"user","content":[{"type":"text","type":"image_url","text":"a"}]}]}`,
			`{"model":"gpt-6-luna","messages":[` + said + `],"stream":true,"stream_options":{"include_usage":true,"include_usage":false}}`, `{"model":"gpt-6-luna","messages":[` + said + `],"stream":true,"stream_options":{"include_usage":true,"Include_Usage":false}}`,
			`{"model":"gpt-6-luna","messages":[` + said + `],"tools":[{"type":"function","function":{"name":"f","name":"g"}}]}`, `{"model":"gpt-6-luna","messages":[` + said + `],"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{"a":{},"a":{}}}}}]}`,
			`{"model":"gpt-6-luna","messages":[` + said + `],"tools":[{"type":"function","function":{"name":"f","parameters":{"a":{"b":{"c":{"d":1,"\u0064":2}}}}}}]}`, `{"model":"gpt-6-luna","messages":[` + said + `],"metadata":{"a":"1","a":"2"}}`, `{"model":"gpt-6-luna","messages":[` + said + `],"logit_bias":{"1":1,"\u0031":2}}`,
		},
		"/v1/responses": {
			`{"model":"gpt-6-luna","input":"hi","store":false,"store":true}`, `{"model":"gpt-6-luna","input":"hi","input":[]}`, `{"model":"gpt-6-luna","input":[{"role":"user","content":"hi","type":"message","type":"item_reference"}]}`, `{"model":"gpt-6-luna","input":[{"type":"message","Type":"item_reference","role":"user","content":"hi","id":"x"}]}`,
			`{"model":"gpt-6-luna","input":"hi","tools":[{"type":"function","name":"f","\u0074ype":"web_search"}]}`, `{"model":"gpt-6-luna","input":"hi","tools":[{"type":"function","TYPE":"mcp","name":"f"}]}`, `{"model":"gpt-6-luna","input":"hi","text":{"format":{"type":"text","type":"json_object"}}}`,
			`{"model":"gpt-6-luna","input":"hi","reasoning":{"effort":"low","EFFORT":"high"}}`, `{"model":"gpt-6-luna","input":[{"role":"user","content":[{"type":"input_text","text":"a","type":"input_image"}]}]}`,
		},
		"/v1/embeddings":  {`{"model":"text-embedding-3-small","input":"a","input":"b"}`, `{"model":"text-embedding-3-small","input":"a","INPUT":[1]}`},
		"/v1/moderations": {`{"input":"a","input":"b"}`, `{"input":[{"type":"text","text":"a","Type":"image_url"}]}`},
	} {
		r.untouched(func() {
			for _, body := range bodies {
				if p := r.post(path, body).wantsV1(t, 400, "duplicate_field"); p.param() == "" {
					t.Errorf("%s: refused without naming the field: %q", body, p.Message)
				}
			}
		})
	}
}

// TestWhatIsNotTextIsRefusedWhereverItStands: images, files, audio, references to what
// is stored, tools that run elsewhere.
func TestWhatIsNotTextIsRefusedWhereverItStands(t *testing.T) {
	t.Parallel()
	r := startV1(t)
	chat := func(messages string) string { return `{"model":"gpt-6-luna","messages":[` + messages + `]}` }
	input := func(items string) string { return `{"model":"gpt-6-luna","input":[` + items + `]}` }
	hi := `{"role":"user","content":"hi"}`
	bodies := map[string][]string{"/v1/chat/completions": {
		chat(hi + `,{"role":"assistant","audio":{"id":"audio_1"}}`), chat(`{"role":"user","content":"hi","audio":{"id":"a"}}`), chat(`{"role":"user","content":[{"type":"text","text":"x","prompt_cache_breakpoint":{"mode":"explicit"}}]}`),
		chat(`{"role":"tool","tool_call_id":"x","content":[{"type":"image_url","image_url":{"url":"https://x/y"}}]}`), chat(`{"role":"user","content":[["text"]]}`), chat(`{"role":"user","content":{"type":"text","text":"x"}}`), chat(`[` + hi + `]`), chat(hi + `,{"role":"assistant","tool_calls":[{"id":"1","type":"mcp","mcp":{}}]}`),
		`{"model":"gpt-6-luna","messages":` + hi + `}`, `{"model":["gpt-6-luna"],"messages":[` + hi + `]}`, `{"model":"gpt-6-luna-latest","messages":[` + hi + `]}`, `{"model":" gpt-6-luna","messages":[` + hi + `]}`, `{"model":"GPT-6-LUNA","messages":[` + hi + `]}`, `{"model":"ft:gpt-6-luna:x","messages":[` + hi + `]}`, `{"model":"gpt-6-luna\u0000","messages":[` + hi + `]}`,
		`{"model":"text-embedding-3-small","messages":[` + hi + `]}`, `{"model":"omni-moderation-latest","messages":[` + hi + `]}`,
	}, "/v1/responses": {
		input(`{"id":"msg_1"}`), input(`{"id":"msg_1","type":null}`), input(`{"type":"item_reference","id":"msg_1"}`), input(`{"id":"msg_1","type":"message"}`), input(`{"id":"rs_1","type":"reasoning"}`), input(`{"type":"compaction","encrypted_content":"x"}`),
		input(`{"type":"image_generation_call","id":"ig_1"}`), input(`{"type":"mcp_list_tools","server_label":"x","tools":[]}`), input(`"hi"`), input(`[]`), input(``), `{"model":"gpt-6-luna","input":{}}`, `{"model":"gpt-6-luna","input":""}`, `{"model":"gpt-6-luna"}`,
		`{"model":"gpt-6-luna","input":"hi","previous_response_id":""}`, `{"model":"gpt-6-luna","input":"hi","conversation":{"id":""}}`, `{"model":"omni-moderation-latest","input":"hi"}`, `{"model":"text-embedding-3-small","input":"hi"}`,
	}, "/v1/embeddings": {`{"model":"gpt-6-luna","input":"hi"}`, `{"model":"text-embedding-3-small","input":["hi",[1]]}`, `{"model":"text-embedding-3-small","input":["hi",1]}`, `{"model":"text-embedding-3-small","input":[]}`, `{"model":"text-embedding-3-small","input":{}}`, `{"model":"text-embedding-3-small","input":[""]}`},
		"/v1/moderations": {`{"model":"gpt-6-luna","input":"hi"}`, `{"input":["hi",{"type":"text","text":"x"}]}`, `{"input":[["hi"]]}`, `{"input":[]}`, `{"input":5}`, `{}`}}
	for _, kind := range []string{"image_url", "input_audio", "file", "input_image", "input_file", "video", "refusal", "output_text", "", "Text", "text "} {
		for _, role := range []string{"user", "system", "assistant"} {
			part := fmt.Sprintf(`{"type":%q,%q:{"url":"https://x/y","data":"AAAA","file_id":"file_1"}}`, kind, kind)
			bodies["/v1/chat/completions"] = append(bodies["/v1/chat/completions"], chat(fmt.Sprintf(`{"role":%q,"content":[{"type":"text","text":"a"},%s]}`, role, part)))
			bodies["/v1/responses"] = append(bodies["/v1/responses"], input(fmt.Sprintf(`{"role":%q,"content":[{"type":"input_text","text":"a"},%s]}`, role, part)))
		}
	}
	for path, all := range bodies {
		r.untouched(func() {
			for _, body := range all {
				if got := r.post(path, body); got.status != 400 && !(got.status == 404 && got.openAI(t).Code == "model_not_found") {
					t.Errorf("%s: %d %.300s", body, got.status, got.body)
				}
			}
		})
	}
}

// TestHugeBodiesAreReadOrRefusedAtOnce: hundreds of kilobytes of one message, of many, of tools,
// of nothing but brackets; none takes long, and none is a fault of ours.
func TestHugeBodiesAreReadOrRefusedAtOnce(t *testing.T) {
	t.Parallel()
	r := startV1(t)
	const mega = 300_000
	fill := func(unit string, n int) string { return strings.TrimSuffix(strings.Repeat(unit+",", n), ",") }
	deep := func(n int) string { return strings.Repeat(`{"a":`, n) + "1" + strings.Repeat("}", n) }
	nested := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	numbered := func(format string, n int) string {
		var all strings.Builder
		for i := range n {
			fmt.Fprintf(&all, format, i)
		}
		return strings.TrimSuffix(all.String(), ",")
	}
	chat, responses := wayTo("chat"), wayTo("responses")
	message, item := `{"role":"user","content":"a"}`, `{"role":"user","content":"a"}`
	for _, c := range []struct {
		path, body string
		status     int
	}{
		{chat.path, chat.body(strings.Repeat("x", 1_000_000)), 200}, {responses.path, responses.body(strings.Repeat("\u4f60", mega/3)), 200}, {chat.path, chat.body(strings.Repeat("\"", mega/2-100)), 200},
		{chat.path, chat.body(strings.Repeat("\u2028", mega/6-100)), 200}, {responses.path, responses.body("hi", streaming, `"instructions":"`+strings.Repeat(`\\`, mega/2-100)+`"`), 200}, {responses.path, responses.body("hi", `"instructions":"`+strings.Repeat(`\n`, mega/2-100)+`"`), 200},
		{chat.path, `{"model":"gpt-6-luna","messages":[` + fill(message, 2000) + `]}`, 200}, {chat.path, `{"model":"gpt-6-luna","messages":[` + fill(message, 10_000) + `]}`, 400}, {responses.path, `{"model":"gpt-6-luna","input":[` + fill(item, 2000) + `]}`, 200}, {responses.path, `{"model":"gpt-6-luna","input":[` + fill(item, 10_000) + `]}`, 400},
		{chat.path, chat.body("hi", `"tools":[`+fill(`{"type":"function","function":{"name":"f"}}`, 10_000)+`]`), 400}, {responses.path, responses.body("hi", `"tools":[`+fill(`{"type":"function","name":"f"}`, 10_000)+`]`), 400}, {chat.path, chat.body("hi", `"tools":[{"type":"function","function":{"name":"f","parameters":`+deep(49)+`}}]`), 400},
		{chat.path, chat.body("hi", `"tools":[{"type":"function","function":{"name":"f","parameters":`+deep(9_000)+`}}]`), 400}, {chat.path, chat.body("hi", `"tools":`+nested(150_000)), 400}, {responses.path, responses.body("hi", `"tools":`+nested(150_000)), 400}, {responses.path, `{"model":"gpt-6-luna","input":` + nested(150_000) + `}`, 400},
		{chat.path, nested(150_000), 400}, {chat.path, strings.Repeat(`{"a":`, 60_000), 400}, {chat.path, `{` + numbered(`"m%d":1,`, 30_000) + `}`, 400}, {chat.path, chat.body("hi", `"metadata":{`+numbered(`"k%d":"v",`, 20_000)+`}`), 400}, {chat.path, chat.body("hi", `"logit_bias":{`+numbered(`"%d":1,`, 20_000)+`}`), 400},
		{chat.path, chat.body("hi", `"logit_bias":{`+numbered(`"%d":1,`, 1024)+`}`), 200}, {chat.path, chat.body("hi", `"stop":[`+fill(`"x"`, 50_000)+`]`), 400}, {chat.path, chat.body("hi", `"seed":`+strings.Repeat("9", mega)), 400}, {chat.path, chat.body("hi", `"user":"`+strings.Repeat("x", mega-200)+`"`), 400}, {chat.path, `{"model":"` + strings.Repeat("x", mega) + `","messages":[]}`, 400},
		{chat.path, chat.body("hi", `"tools":[{"type":"function","function":{"name":"f","parameters":{"enum":[`+fill(`1`, 100_000)+`]}}}]`), 200}, {chat.path, chat.body("hi", `"tools":[{"type":"function","function":{"name":"f","parameters":{"properties":{`+numbered(`"p%d":{},`, 15_000)+`}}}}]`), 200},
		{chat.path, chat.body("hi", `"tools":[{"type":"function","function":{"name":"f","parameters":{"description":"`+strings.Repeat("\u00e9", 200_000)+`"}}}]`), 400}, {"/v1/embeddings", `{"model":"text-embedding-3-small","input":[` + fill(`"x"`, 10_000) + `]}`, 400}, {"/v1/moderations", `{"input":[` + fill(`"x"`, 10_000) + `]}`, 400},
		{chat.path, chat.body("hi", `"tools":[{"type":"function","function":{"name":"f","parameters":`+deep(48)+`}}]`), 200}, {responses.path, responses.body("hi", `"tools":[{"type":"function","name":"f","parameters":`+deep(48)+`}]`), 200}, {responses.path, responses.body("hi", streaming, `"tools":[{"type":"function","name":"f","parameters":`+deep(48)+`}]`), 200},
		{responses.path, responses.body("hi", `"tools":[{"type":"function","name":"f","parameters":{"enum":[`+fill(`1`, 100_000)+`]}}]`), 200},
		{chat.path, strings.Repeat(" ", mega) + chat.body("hi"), 200}, {chat.path, chat.body(strings.Repeat("x", 1<<20)), 413}, {responses.path, responses.body("hi", `"input":`+fill(`1`, 5)), 400},
		{chat.path, `{"model":"gpt-6-luna","messages":[{"role":"assistant","tool_calls":[` + numbered(`{"id":"c%d","type":"function","function":{"name":"f","arguments":""}},`, 128) + `]},` + numbered(`{"role":"tool","tool_call_id":"c%d","content":"x"},`, 128) + `]}`, 200},
	} {
		began := time.Now()
		got := r.post(c.path, c.body)
		if took := time.Since(began); got.status != c.status || took > slack || got.err != nil {
			t.Errorf("%s %.90s…: %d after %v, want %d; %.300s %v", c.path, c.body, got.status, took, c.status, got.body, got.err)
		}
		if c.status == 200 && strings.Contains(got.body, `"error":{`) {
			t.Errorf("%s %.90s…: the answer breaks: %s", c.path, c.body, got.body[strings.Index(got.body, `"error":{`):])
		}
	}
}
