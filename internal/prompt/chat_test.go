package prompt_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"keyshield/internal/prompt"
)

// said is a message of one text part.
func said(role, text string) string {
	quoted, _ := json.Marshal(text)
	return fmt.Sprintf(`{"id":"m","role":%q,"parts":[{"type":"text","text":%s}]}`, role, quoted)
}

func chat(messages ...string) []byte {
	return []byte(`{"id":"c","messages":[` + strings.Join(messages, ",") + `],"trigger":"submit-message"}`)
}

func TestConversationsThatAreAccepted(t *testing.T) {
	hi := prompt.Message{Role: "user", Text: "Hi"}
	for body, want := range map[string][]prompt.Message{
		`{"messages":[{"role":"user","parts":[{"type":"text","text":"Hi"}]}]}`: {hi},
		`{"id":null,"messageId":null,"trigger":null,"messages":[{"id":null,"messageId":null,"metadata":null,"role":"user","parts":[{"type":"text","text":"Hi","state":null,"providerMetadata":null}]}]}`: {hi},
		`{"messages":[{"parts":[{"text":"Hi","type":"text"}],"role":"user"}],"trigger":"regenerate-message"}`:                                                                                            {hi},
		`{"messages":[{"role":"user","metadata":{"a":[{"b":1e999}]},"parts":[{"type":"text","text":"Hi","providerMetadata":{"x":{"y":[]}}}]}]}`:                                                          {hi},

		// A user's text is cleaned, whenever it was said; all other text is as it was.
		string(chat(said("user", " <b>Hi</b>\u200b\r\n"), said("assistant", " <b>a</b>\u200b\r\n"), said("system", "\u200b<i>s"), said("user", "Hi"))): {
			hi, {Role: "assistant", Text: " <b>a</b>\u200b\r\n"}, {Role: "system", Text: "\u200b<i>s"}, hi},

		// What says nothing is not there, wherever it stands.
		string(chat(said("user", "Hi"), said("assistant", ""), said("user", ""), said("user", " <p>"), said("system", ""), said("user", "Hi"))): {hi, hi},
		string(chat(said("user", "Hi"), `{"role":"assistant","parts":[]}`)):                                                                     {hi},
		string(chat(said("user", "Hi"), `{"role":"assistant","parts":[{"type":"step-start"}]}`)):                                                {hi},
		string(chat(said("user", "Hi"), `{"role":"assistant","parts":[{"type":"reasoning","text":"Hm.","state":"streaming"}]}`)):                {hi},

		string(chat(said("user", strings.Repeat("é", 301)), said("user", "Hi"))): {hi}, // refused when it came, and kept by the client

		// Of an answer in many parts its text remains.
		string(chat(`{"role":"assistant","parts":[{"type":"step-start"},{"type":"reasoning","id":"r","text":"Hm.","state":"done"},{"type":"text","text":"Yes","state":"done","citations":[]},{"type":"step-start"},{"type":"text","text":", no.","state":"streaming"}]}`, said("user", "Hi"))): {
			{Role: "assistant", Text: "Yes, no."}, hi},
		string(chat(`{"role":"user","parts":[{"type":"text","text":"a"},{"type":"step-start"},{"type":"text","text":""},{"type":"text","text":"b"}]}`)): {{Role: "user", Text: "a\n\nb"}},
	} {
		got, err := rules.DecodeChat([]byte(body))
		if err != nil {
			t.Errorf("%s: %v", body, err)
		} else if diff := cmp.Diff(want, got.Messages); diff != "" {
			t.Errorf("%s (-want +got):\n%s", body, diff)
		}
	}
}

func TestConversationsThatAreRefused(t *testing.T) {
	long, hi := strings.Repeat("é", 301), said("user", "Hi")
	part := func(p string) string { return `{"role":"user","parts":[` + p + `]}` }
	const kind, path = `Field "messages[0].parts[0].type" must be "text": files, tools and data are not accepted here.`, "messages[0].parts[0].type"
	for _, tt := range []struct{ body, code, message, param string }{
		{`[]`, "invalid_json", "The request body is not valid JSON.", ""},
		{`{"messages":[` + hi + `]`, "invalid_json", "", ""},
		{`{"messages":[` + hi + `],"model":1,}`, "invalid_json", "", ""},
		{`{"messages":[` + hi + `],"x":"\ud800"}`, "invalid_utf8", "", "x"},
		{`{"messages":[{"role":"user","parts":[{"type":"text","text":"Hi \ud83d"}]}]}`, "invalid_utf8", "", "messages[0].parts[0].text"},
		{`{"messages":[` + hi + `],"messages":[]}`, "duplicate_field", `Field "messages" appears more than once.`, "messages"},
		{`{"messages":[` + hi + `],"Messages":[]}`, "duplicate_field", `Field "Messages" must be written "messages".`, "Messages"},
		{`{"messages":[` + hi + `],"metadata":{"a":1,"a":2}}`, "duplicate_field", "", "a"},

		{`{"messages":[` + hi + `],"model":"x"}`, "unknown_field", `Unknown field "model". Only "id", "messages", "trigger" and "messageId" are accepted.`, "model"},
		{`{"messages":[{"role":"user","content":"Hi"}]}`, "unknown_field", `Unknown field "messages[0].content".`, "messages[0].content"},
		{`{"messages":[` + hi + `,{"role":"user","parts":[{"type":"text","text":"Hi","cache":true}]}]}`, "unknown_field", `Unknown field "messages[1].parts[0].cache".`, "messages[1].parts[0].cache"},

		{string(chat(part(`{"type":"file","mediaType":"image/png","url":"data:,"}`))), "invalid_field", kind, path},
		{string(chat(part(`{"type":"tool-search","toolCallId":"1"}`))), "invalid_field", kind, path},
		{string(chat(part(`{"type":"dynamic-tool","toolName":"x"}`))), "invalid_field", kind, path},
		{string(chat(part(`{"type":"data-weather","data":{}}`))), "invalid_field", kind, path},
		{string(chat(part(`{"type":"source-url","url":"https://example.com"}`))), "invalid_field", kind, path},
		{string(chat(part(`{"type":"Text","text":"Hi"}`))), "invalid_field", kind, path},
		{string(chat(part(`{"type":"","text":"Hi"}`))), "invalid_field", kind, path},
		{string(chat(part(`{"type":1,"text":"Hi"}`))), "invalid_field", "", path},
		{string(chat(part(`{"url":"data:,","type":"file"}`))), "unknown_field", "", "messages[0].parts[0].url"},
		{string(chat(part(`{"text":"Hi"}`))), "invalid_field", `Field "messages[0].parts[0].type" is missing.`, path},
		{string(chat(part(`{"type":"text"}`))), "invalid_field", `Field "messages[0].parts[0].text" is missing.`, "messages[0].parts[0].text"},
		{string(chat(part(`{"type":"text","text":null}`))), "invalid_field", "", "messages[0].parts[0].text"},
		{string(chat(part(`{"type":"text","text":"Hi","state":"half"}`))), "invalid_field", "", "messages[0].parts[0].state"},
		{string(chat(part(`"Hi"`))), "invalid_field", `Field "messages[0].parts[0]" must be an object.`, "messages[0].parts[0]"},
		{string(chat(`{"role":"user"}`)), "invalid_field", `Field "messages[0].parts" is missing.`, "messages[0].parts"},
		{string(chat(`{"role":"user","parts":null}`)), "invalid_field", "", "messages[0].parts"},
		{string(chat(`{"role":"user","parts":"Hi"}`)), "invalid_field", "", "messages[0].parts"},
		{string(chat(`{"parts":[]}`)), "invalid_field", `Field "messages[0].role" is missing.`, "messages[0].role"},
		{string(chat(said("developer", "Hi"))), "invalid_field", `Field "messages[0].role" must be "user", "assistant" or "system".`, "messages[0].role"},
		{string(chat(said("tool", "Hi"))), "invalid_field", "", "messages[0].role"},
		{string(chat(`{"id":7,"role":"user","parts":[]}`)), "invalid_field", "", "messages[0].id"},
		{string(chat(`"Hi"`)), "invalid_field", "", "messages[0]"},
		{`{"id":1,"messages":[` + hi + `]}`, "invalid_field", "", "id"},
		{`{"messages":[` + hi + `],"messageId":{}}`, "invalid_field", "", "messageId"},
		{`{"messages":[` + hi + `],"trigger":"resume-stream"}`, "invalid_field", `Field "trigger" must be "submit-message" or "regenerate-message".`, "trigger"},
		{`{"messages":"Hi"}`, "invalid_field", `Field "messages" must be an array.`, "messages"},
		{`{"messages":null}`, "invalid_field", "", "messages"},

		{`{}`, "invalid_prompt", `Invalid prompt format. Field "messages" is missing.`, "messages"},
		{string(chat()), "invalid_prompt", "Invalid prompt format. The last message must be the user's.", "messages"},
		{string(chat(hi, said("assistant", "Hello."))), "invalid_prompt", "Invalid prompt format. The last message must be the user's.", "messages"},
		{string(chat(hi, said("system", "Obey."))), "invalid_prompt", "", "messages"},
		{string(chat(hi, part(``))), "invalid_prompt", "Invalid prompt format.", "messages[1]"},
		{string(chat(hi, said("user", ""))), "invalid_prompt", "Invalid prompt format.", "messages[1]"},
		{string(chat(hi, said("user", " \u200b<p>"))), "prompt_empty", "Prompt cannot be empty.", "messages[1]"},
		{string(chat(hi, said("user", ""), said("assistant", ""))), "invalid_prompt", "", "messages[1]"},

		{string(chat(hi, said("user", long))), "prompt_too_long", "Prompt is too long. Please keep it under 300 characters.", "messages[1]"},
	} {
		_, err := rules.DecodeChat([]byte(tt.body))
		e := refused(t, tt.body, err)
		if e.Code != tt.code || e.Param != tt.param || tt.message != "" && !strings.HasPrefix(e.Message, tt.message) {
			t.Errorf("%.120q: %s about %q: %q; want %s about %q: %q", tt.body, e.Code, e.Param, e.Message, tt.code, tt.param, tt.message)
		}
	}
}

func TestCompletionsAreOfOnePrompt(t *testing.T) {
	want := prompt.Chat{Messages: []prompt.Message{{Role: "user", Text: "Hi"}}}
	if got, err := rules.DecodeCompletion([]byte(`{"prompt":" <b>Hi</b>\u0000 "}`)); err != nil || !cmp.Equal(got, want) {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	for body, code := range map[string]string{
		`{"prompt":"Hi","stream":true}`: "unknown_field", // it always streams
		`{"prompt":"Hi","Prompt":"Ho"}`: "duplicate_field",
		`{"messages":[]}`:               "unknown_field",
		`{"prompt":"Hi"`:                "invalid_json",
		`{}`:                            "invalid_prompt",
		`{"prompt":["Hi"]}`:             "invalid_prompt",
		`{"prompt":"<p> </p>"}`:         "prompt_empty",
		`{"prompt":"` + strings.Repeat("é", 301) + `"}`: "prompt_too_long",
	} {
		_, err := rules.DecodeCompletion([]byte(body))
		if e := refused(t, body, err); e.Code != code {
			t.Errorf("%.80s: %s, want %s", body, e.Code, code)
		}
	}
}

func TestConversationsAreBounded(t *testing.T) {
	hi := said("user", "Hi")
	times := func(n int, message string) []string {
		return strings.Split(strings.Repeat(message+"\n", n-1)+message, "\n")
	}
	reply := said("assistant", strings.Repeat("é", 32_000))
	parts := func(n int) string {
		return `{"role":"assistant","parts":[` + strings.Join(times(n, `{"type":"step-start"}`), ",") + `]}`
	}
	full := times(3, reply) // with a user's Hi, 31,998 are left of 128,000
	for name, tt := range map[string]struct {
		messages  []string
		code, why string
	}{
		"200 messages":                 {times(200, hi), "", ""},
		"201 messages":                 {times(201, hi), "invalid_field", "The conversation is too long: at most 200 messages are accepted. Please start a new one."},
		"2,001 messages":               {times(2001, hi), "invalid_field", ""},
		"one left out for its length":  {[]string{said("user", strings.Repeat("é", 130_000)), hi}, "", ""},
		"201, of which most are empty": {append(times(200, parts(1)), hi), "invalid_field", ""},
		"250 parts":                    {[]string{parts(250), hi}, "", ""},
		"251 parts":                    {[]string{parts(251), hi}, "invalid_field", `Field "messages[0].parts" has too many elements: at most 250 are accepted.`},
		"a reply of 32,000":            {[]string{reply, hi}, "", ""},
		"a reply of 32,001":            {[]string{said("assistant", strings.Repeat("é", 32_001)), hi}, "invalid_field", `Message "messages[0]" is too long: at most 32000 characters of the assistant are accepted.`},
		"a system text of 32,001":      {[]string{said("system", strings.Repeat("a", 32_001)), hi}, "invalid_field", ""},
		"128,000 altogether":           {append(full[:3:3], said("assistant", strings.Repeat("😀", 31_998)), hi), "", ""},
		"128,001 altogether":           {append(full[:3:3], said("assistant", strings.Repeat("😀", 31_999)), hi), "prompt_too_long", "The conversation is too long: at most 128000 characters are accepted. Please start a new one."},
		"a user's 300 in two parts":    {[]string{`{"role":"user","parts":[{"type":"text","text":"` + strings.Repeat("é", 149) + `"},{"type":"text","text":"` + strings.Repeat("é", 150) + `"}]}`}, "", ""},
		"a user's 301 in two parts":    {[]string{`{"role":"user","parts":[{"type":"text","text":"` + strings.Repeat("é", 150) + `"},{"type":"text","text":"` + strings.Repeat("é", 150) + `"}]}`}, "prompt_too_long", ""},
	} {
		_, err := rules.DecodeChat(chat(tt.messages...))
		if tt.code == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if e := refused(t, name, err); e.Code != tt.code || tt.why != "" && e.Message != tt.why {
			t.Errorf("%s: %s: %q, want %s: %q", name, e.Code, e.Message, tt.code, tt.why)
		}
	}
}

// TestWhatIsCleanedAwayCountsToo: cleaning is what a conversation costs, whatever is
// left of it.
func TestWhatIsCleanedAwayCountsToo(t *testing.T) {
	rules := prompt.Rules{MaxChars: 1000, StripHTML: true}
	nothing := said("user", strings.Repeat("<p>", 300))
	for n, code := range map[int]string{100: "", 150: "prompt_too_long"} {
		_, err := rules.DecodeChat(chat(append(slices.Repeat([]string{nothing}, n), said("user", "Hi"))...))
		if code == "" && err != nil {
			t.Errorf("%d messages: %v", n, err)
		}
		if code != "" {
			if e := refused(t, code, err); e.Code != code {
				t.Errorf("%d messages: %s, want %s", n, e.Code, code)
			}
		}
	}
}

// uiChat is the body as encoding/json reads it.
type uiChat struct {
	ID, Trigger, MessageID *string
	Messages               []struct {
		ID, MessageID *string
		Role          string
		Metadata      json.RawMessage
		Parts         []struct {
			Type, Text                             string
			ID, State, ProviderMetadata, Citations json.RawMessage
		}
	}
}

// messages says in other words what DecodeChat makes of it.
func (c uiChat) messages() (all []prompt.Message) {
	for _, m := range c.Messages {
		var texts []string
		for _, p := range m.Parts {
			if p.Type == "text" {
				texts = append(texts, p.Text)
			}
		}
		text := strings.Join(texts, "")
		if m.Role == "user" {
			text = strings.TrimSpace(prompt.Clean(strings.TrimSpace(strings.Join(texts, "\n")), true))
		}
		if text != "" {
			all = append(all, prompt.Message{Role: m.Role, Text: text})
		}
	}
	return all
}

// FuzzDecodeChat holds what is accepted against encoding/json, as FuzzDecode does,
// and against the bounds of a conversation.
func FuzzDecodeChat(f *testing.F) {
	f.Add(chat(said("user", "Hi")))
	f.Add(chat(said("system", "x"), said("user", " <b>\u200b"), said("assistant", " <b>\u200b"), said("user", "Hi"), said("assistant", "")))
	f.Add([]byte(`{"messages":[{"role":"user","metadata":{"a":[1e999]},"parts":[{"type":"step-start"},{"type":"text","text":"\ud83d\ude00","state":"done","providerMetadata":{}}]}],"trigger":null}`))
	f.Add([]byte(`{"messages":[{"role":"user","parts":[{"type":"file","url":"data:,"}]}],"body":{}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := rules.DecodeChat(body)
		if err != nil {
			e := refused(t, string(body), err)
			if e.Message == "" || len(e.Message) > 600 || strings.ContainsFunc(e.Message+e.Param, unicode.IsControl) {
				t.Errorf("%q: %q about %q", body, e.Message, e.Param)
			}
			return
		}
		if depth(body) > 5000 {
			return // the two may count depth differently
		}
		var theirs uiChat
		dec := json.NewDecoder(bytes.NewReader(body))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&theirs); err != nil || !json.Valid(body) {
			t.Fatalf("%q was accepted; encoding/json: %v", body, err)
		}
		if diff := cmp.Diff(theirs.messages(), got.Messages); diff != "" {
			t.Errorf("%q is read by encoding/json as another conversation (-theirs +ours):\n%s", body, diff)
		}
		total, system := 0, false
		for _, m := range got.Messages {
			n := utf8.RuneCountInString(m.Text)
			if m.Text == "" || m.Role == "user" && n > 300 || n > 32_000 {
				t.Errorf("%q: a %s says %d characters", body, m.Role, n)
			}
			total += n
			system = system || m.Role == "system"
		}
		if n := len(got.Messages); n == 0 || n > 200 || total > 128_000 || got.Messages[n-1].Role != "user" || system != got.System {
			t.Errorf("%q: %d messages, %d characters, system %t: %+v", body, n, total, got.System, got.Messages)
		}
	})
}
