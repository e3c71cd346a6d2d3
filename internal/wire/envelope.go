package wire

import (
	"encoding/json"
	"strconv"

	"github.com/sashabaranov/go-openai"
)

// Envelope is OpenAI's error, without its sentence: that one repeats the ends of
// a wrong key and names the organisation, so it is not even read into ours.
type Envelope struct {
	Type, Code, Param string // each a plain token, or "" when it was none
}

// ReadError reads {"error": {"message", "type", "param", "code"}}, the shape in
// which OpenAI refuses. ok is false for anything else: a gateway's HTML page, a
// bare sentence, an error that does not name its type. The difference is worth
// money, for a refusal in this shape is taken as proof that nothing is billed.
func ReadError(body []byte) (e Envelope, ok bool) {
	var r openai.ErrorResponse
	if err := json.Unmarshal(body, &r); err != nil || r.Error == nil {
		return Envelope{}, false
	}
	if e.Type = token(r.Error.Type); e.Type == "" {
		return Envelope{}, false
	}
	switch code := r.Error.Code.(type) {
	case string:
		e.Code = token(code)
	case int: // go-openai reads null as 0
		if code != 0 {
			e.Code = token(strconv.Itoa(code))
		}
	}
	if r.Error.Param != nil {
		e.Param = token(*r.Error.Param)
	}
	return e, true
}

// token returns s if it matches [A-Za-z0-9_.\[\]-]{1,64}, else "".
func token(s string) string {
	if len(s) > 64 {
		return ""
	}
	for i := range len(s) {
		switch c := s[i]; {
		case c|0x20 >= 'a' && c|0x20 <= 'z', c >= '0' && c <= '9':
		case c == '_', c == '.', c == '[', c == ']', c == '-':
		default:
			return ""
		}
	}
	return s
}
