package wire_test

import (
	"fmt"
	"strings"
	"testing"

	"keyshield/internal/wire"
)

// tenLevels is what zod makes of ten levels of objects that may be null.
func tenLevels() string {
	schema := `{"type":"object","properties":{"v":{"anyOf":[{"type":"string"},{"type":"null"}]}},"required":["v"],"additionalProperties":false}`
	for range 9 {
		schema = `{"type":"object","properties":{"child":{"anyOf":[` + schema + `,{"type":"null"}]}},"required":["child"],"additionalProperties":false}`
	}
	return schema
}

// TestTenLevelsOfObjectsPass, which is what OpenAI takes: a bracket is no level.
func TestTenLevelsOfObjectsPass(t *testing.T) {
	deep := tenLevels()
	for _, body := range []string{
		chat(`"tools":[{"type":"function","function":{"name":"f","parameters":` + deep + `}}]`),
		chat(`"response_format":{"type":"json_schema","json_schema":{"name":"f","schema":` + deep + `}}`),
	} {
		if sent, _ := readChat(t, body).Append(nil, wire.Sent{OutputLimit: 16, ServiceTier: "default"}); !strings.Contains(string(sent), deep) {
			t.Errorf("the schema was not sent as it was: %s", sent)
		}
	}
	for _, more := range []string{`"tools":[{"type":"function","name":"f","parameters":` + deep + `}]`, `"text":{"format":{"type":"json_schema","name":"f","schema":` + deep + `}}`} {
		if sent, _ := readResponses(t, `{"model":"m","input":"hi",`+more+`}`).Append(nil, responsesSent); !strings.Contains(string(sent), deep) {
			t.Errorf("the schema was not sent as it was: %s", sent)
		}
	}
}

// TestAnswersThatRepeatTheDeepestSchemaAreRead: a response, and the events around
// one, repeat the tools and the format some brackets deeper than they were asked for.
func TestAnswersThatRepeatTheDeepestSchemaAreRead(t *testing.T) {
	schema := strings.Repeat(`{"items":[`, 24) + strings.Repeat("]}", 24)
	if _, err := wire.ReadResponsesRequest(fmt.Appendf(nil, `{"model":"m","input":"hi","tools":[{"type":"function","name":"f","parameters":%s}]}`, schema)); err != nil {
		t.Fatalf("the schema is no longer one that is accepted: %v", err)
	}
	response := fmt.Sprintf(`{"object":"response","status":"completed","model":"m","service_tier":"default",
		"tools":[{"type":"function","name":"f","parameters":%[1]s,"strict":true}],
		"text":{"format":{"type":"json_schema","name":"f","schema":%[1]s},"verbosity":"medium"},
		"output":[{"type":"message","role":"assistant","content":[{"type":"output_text","text":"Yes."}]}],
		"usage":{"input_tokens":1,"output_tokens":2,"total_tokens":3}}`, schema)

	var l listener
	a, err := wire.HearResponse([]byte(response), l.hear)
	if err != nil || !a.HasUsage || strings.Join(l.said(), "") != "Yes." {
		t.Errorf("the whole answer: usage %v, said %q, %v", a.HasUsage, l.said(), err)
	}
	for _, kind := range []string{"response.created", "response.in_progress", "response.completed"} {
		ev, err := wire.HearResponseEvent([]byte(`{"type":"`+kind+`","sequence_number":1,"response":`+response+`}`), l.hear)
		if err != nil || ev.Seq != 1 || !ev.HasUsage {
			t.Errorf("%s: number %d, usage %v, %v", kind, ev.Seq, ev.HasUsage, err)
		}
	}
}
