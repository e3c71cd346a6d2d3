package sim

import (
	"errors"
	"io"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// maxBody bounds what a client can make us hold.
const maxBody = 32 << 20

// receive reads and records the request.
func (c *call) receive() ([]byte, error) {
	var body []byte
	if n := c.r.ContentLength; n > 0 && n <= maxBody {
		body = make([]byte, n)
		n, err := io.ReadFull(c.r.Body, body)
		if err != nil {
			return nil, errGone
		}
		body = body[:n]
	} else if n != 0 {
		var err error
		body, err = io.ReadAll(http.MaxBytesReader(c.w, c.r.Body, maxBody))
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return nil, &refusal{http.StatusRequestEntityTooLarge, "The request body is too large.", invalidRequest, "", ""}
		} else if err != nil {
			return nil, errGone
		}
	}
	c.sim.ring.keep(c, body)
	return body, nil
}

// Marks of a type that JSON alone does not know.
var (
	errNotText  = errors.New("neither a string nor an array of parts")
	errNotInput = errors.New("neither a string nor an array of items")
)

// decode reads a body, or the value at a path of one, as strictly as OpenAI does
// and a little more: a member that is there twice, or text that is not UTF-8, is
// no JSON here.
func decode(body []byte, path string, into any) error {
	err := json.Unmarshal(body, into, json.RejectUnknownMembers(true))
	if err == nil {
		return nil
	}
	wrong, ok := errors.AsType[*json.SemanticError](err)
	if !ok || wrong.JSONPointer == "" && path == "" {
		return invalid("", "", "We could not parse the JSON body of your request. (HINT: This likely means you aren't using "+
			"your HTTP library correctly. The OpenAI API expects a JSON payload, but what was sent was not valid JSON. If you have "+
			"trouble figuring out how to fix this, please contact us through our help center at help.openai.com.)")
	}
	at := memberName(path, wrong.JSONPointer)
	switch {
	case errors.Is(err, json.ErrUnknownName):
		return invalid(at, "unknown_parameter", "Unknown parameter: '%s'.", at)
	case errors.Is(err, errNotText), errors.Is(err, errNotInput):
		return invalid(at, "invalid_type", "Invalid type for '%s': expected one of a string or array of objects.", at)
	}
	return invalid(at, "invalid_type", "Invalid type for '%s': expected %s, but got %s instead.", at, wanted(wrong.GoType), got(wrong.JSONKind))
}

// memberName turns /messages/0/content into messages[0].content.
func memberName(path string, p jsontext.Pointer) string {
	b := []byte(path)
	for token := range p.Tokens() {
		switch _, err := strconv.Atoi(token); {
		case err == nil:
			b = append(append(append(b, '['), token...), ']')
		case len(b) > 0:
			b = append(append(b, '.'), token...)
		default:
			b = append(b, token...)
		}
	}
	return string(b)
}

func wanted(t reflect.Type) string {
	if t == nil {
		return "another type"
	}
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Int, reflect.Int64:
		return "an integer"
	case reflect.Float64:
		return "a decimal"
	case reflect.Bool:
		return "a boolean"
	case reflect.Slice:
		return "an array"
	}
	return "an object"
}

func got(k jsontext.Kind) string {
	switch k {
	case '"':
		return "a string"
	case '0':
		return "a number"
	case 't', 'f':
		return "a boolean"
	case '[':
		return "an array"
	}
	return "an object"
}

// present reports whether a member was given and is not null.
func present(v jsontext.Value) bool { return len(v) > 0 && v.Kind() != 'n' }

// readContent reads a text or a list of parts.
func readContent[part any](d *jsontext.Decoder, text func(string), add func(part)) error {
	switch d.PeekKind() {
	case 'n':
		return d.SkipValue()
	case '"':
		token, err := d.ReadToken()
		if err != nil {
			return err
		}
		text(token.String())
		return nil
	case '[':
		var parts []part
		if err := json.UnmarshalDecode(d, &parts); err != nil {
			return err
		}
		text("")
		for _, p := range parts {
			add(p)
		}
		return nil
	}
	if err := d.SkipValue(); err != nil {
		return err
	}
	return errNotText
}

func missing(param string) error {
	return invalid(param, "missing_required_parameter", "Missing required parameter: '%s'.", param)
}

func invalidValue(param, value string, values []string) error {
	last := len(values) - 1
	return invalid(param, "invalid_value", "Invalid value: '%s'. Supported values are: '%s', and '%s'.", value,
		strings.Join(values[:last], "', '"), values[last])
}

func unsupported(param string) error {
	return invalid(param, "unsupported_parameter", "Unsupported parameter: '%s' is not supported with this model.", param)
}

// decimal and integer are members with bounds.
type (
	decimal struct {
		name        string
		value       *float64
		least, most float64
	}
	integer struct {
		name        string
		value       *int
		least, most int
	}
)

func within(decimals []decimal, integers []integer) error {
	for _, v := range decimals {
		switch {
		case v.value != nil && *v.value < v.least:
			return invalid(v.name, "decimal_below_min_value", "Invalid '%s': decimal below minimum value. Expected a value >= %v, but got %v instead.", v.name, v.least, *v.value)
		case v.value != nil && *v.value > v.most:
			return invalid(v.name, "decimal_above_max_value", "Invalid '%s': decimal above maximum value. Expected a value <= %v, but got %v instead.", v.name, v.most, *v.value)
		}
	}
	for _, v := range integers {
		switch {
		case v.value != nil && *v.value < v.least:
			return invalid(v.name, "integer_below_min_value", "Invalid '%s': integer below minimum value. Expected a value >= %d, but got %d instead.", v.name, v.least, *v.value)
		case v.value != nil && *v.value > v.most:
			return invalid(v.name, "integer_above_max_value", "Invalid '%s': integer above maximum value. Expected a value <= %d, but got %d instead.", v.name, v.most, *v.value)
		}
	}
	return nil
}
