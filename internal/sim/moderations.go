package sim

import (
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// categories are those of the omni models.
var categories = []string{"harassment", "harassment/threatening", "sexual", "hate", "hate/threatening", "illicit", "illicit/violent",
	"self-harm/intent", "self-harm/instructions", "self-harm", "sexual/minors", "violence", "violence/graphic"}

// moderationsRequest has every member that OpenAI's description names.
type moderationsRequest struct {
	Model string         `json:"model"`
	Input jsontext.Value `json:"input"`

	results int
	image   bool
	q       question
}

type moderationPart struct {
	Type     string `json:"type"`
	Text     string `json:"text"`
	ImageURL *struct {
		URL string `json:"url"`
	} `json:"image_url"`
}

// readModerations reads a body of /v1/moderations.
func readModerations(body []byte, models []string) (request, error) {
	r := new(moderationsRequest)
	if err := decode(body, "", r); err != nil {
		return nil, err
	}
	if r.Model == "" {
		r.Model = "omni-moderation-latest"
	}
	if err := serves(moderations, r.Model, models); err != nil {
		return nil, err
	}
	r.q = question{endpoint: moderations, model: r.Model, param: "input", choices: 1}
	if err := r.readInput(); err != nil {
		return nil, err
	}
	return r, nil
}

// readInput takes a text, texts, or the parts of one thing to judge.
func (r *moderationsRequest) readInput() error {
	if !present(r.Input) {
		return missing("input")
	}
	var texts []string
	var parts []jsontext.Value
	switch {
	case json.Unmarshal(r.Input, &r.q.asked) == nil:
		r.results = 1
		return nil
	case json.Unmarshal(r.Input, &texts) == nil && len(texts) > 0:
		r.q.asked, r.results = texts[0], len(texts)
		return nil
	case json.Unmarshal(r.Input, &parts) != nil:
		return invalid("input", "invalid_type", "Invalid type for 'input': expected one of a string, array of strings, or array of objects.")
	case len(parts) == 0:
		return invalid("input", "empty_array", "Invalid 'input': empty array. Expected an array with minimum length 1, but got an empty array instead.")
	}
	r.results = 1
	for i, raw := range parts {
		var p moderationPart
		at := "input[" + itoa(i) + "]"
		if err := decode(raw, at, &p); err != nil {
			return err
		}
		switch {
		case p.Type == "image_url" && p.ImageURL != nil:
			r.image = true
		case p.Type != "text":
			return invalidValue(at+".type", p.Type, []string{"text", "image_url"})
		case r.q.asked == "":
			r.q.asked = p.Text
		}
	}
	return nil
}

func (r *moderationsRequest) question() *question { return &r.q }

func (r *moderationsRequest) compose(c *call) (*reply, error) {
	return c.newReply("modr-" + randomID()), nil
}

// encode writes a result for each text; a directive flags the first.
func (r *moderationsRequest) encode(c *call) []byte {
	p := c.reply
	b := appendString([]byte(`{"id":`), p.id, false)
	b = appendString(append(b, `,"model":`...), p.model, c.b.Escape)
	b = append(b, `,"results":[`...)
	for i := range r.results {
		flagged := ""
		if i == 0 {
			flagged = c.b.Flagged
		} else {
			b = append(b, ',')
		}
		b = r.appendResult(b, flagged)
	}
	return indent(append(c.appendDebug(append(b, ']')), '}'))
}

func (r *moderationsRequest) appendResult(b []byte, flagged string) []byte {
	b = strconv.AppendBool(append(b, `{"flagged":`...), flagged != "")
	each := func(name string, value func(category string)) {
		b = append(b, `,"`+name+`":{`...)
		for i, category := range categories {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(appendString(b, category, false), ':')
			value(category)
		}
		b = append(b, '}')
	}
	each("categories", func(category string) { b = strconv.AppendBool(b, category == flagged) })
	each("category_scores", func(category string) {
		score := "0.000012"
		if category == flagged {
			score = "0.970000"
		}
		b = append(b, score...)
	})
	each("category_applied_input_types", func(category string) {
		if r.image && category != "harassment" && category != "hate" {
			b = append(b, `["text","image"]`...)
			return
		}
		b = append(b, `["text"]`...)
	})
	return append(b, '}')
}
