package wire

import "keyshield/internal/strict"

// ModerationsRequest is a decoded request to /v1/moderations.
type ModerationsRequest struct {
	Asked

	input inputs
	parts bool // its list is of parts: one thing to judge, not several
}

// ReadModerationsRequest decodes a body. Every error is an *apierr.Error with status
// 400 that names the field. Nothing of body is kept.
func ReadModerationsRequest(body []byte) (*ModerationsRequest, error) {
	req := new(ModerationsRequest)
	err := strict.Read(body, []string{"model", "input"}, req.member)
	switch {
	case err != nil:
		return nil, err
	case req.input.texts == nil:
		return nil, missing("input")
	}
	return req, nil
}

func (req *ModerationsRequest) member(r *strict.Reader, name string) {
	switch {
	case r.Null():
	case name == "model":
		req.Model = r.Text(maxModel)
	case r.Kind() == '"':
		req.input.texts = []string{r.String()}
	default:
		req.readList(r)
	}
}

// readList reads texts, or parts of text, but not both.
func (req *ModerationsRequest) readList(r *strict.Reader) {
	in := &req.input
	in.list = true
	n := readEach(r, maxInputs, func() {
		part := r.Kind() == '{'
		if len(in.texts) == 0 {
			req.parts = part
		}
		var s string
		if part {
			s = readTextPart(r)
		} else {
			s, _ = readInput(r)
		}
		if in.texts = append(in.texts, s); part != req.parts {
			r.Invalid("must be of the same kind as those before it")
		}
	})
	if n == 0 {
		r.Invalid("must not be empty")
	}
}

// readTextPart reads {"type": "text", "text": …}. What an image would cost here, no
// price says.
func readTextPart(r *strict.Reader) (text string) {
	var kind string
	given := false
	r.Object([]string{"type", "text", "image_url"}, func(name string) {
		switch {
		case r.Null():
		case name == "type":
			kind = readPartKind(r, "text")
		case name == "text":
			text = r.String()
			given = true
		default:
			r.Skip()
			r.Invalid("is not accepted: %s", deniedParts[name])
		}
	})
	switch {
	case kind == "":
		r.Missing("type")
	case !given:
		r.Missing("text")
	}
	return text
}

// Append appends the request as it goes upstream, to this model.
func (req *ModerationsRequest) Append(dst []byte, model string) []byte {
	e := start(dst)
	e.textMember("model", model)
	if !req.parts {
		req.input.append(&e)
		e.close('}')
		return e.b
	}
	e.name("input")
	e.open('[')
	for _, s := range req.input.texts {
		e.open('{')
		e.textMember("type", "text")
		e.name("text")
		e.text(s)
		e.close('}')
	}
	e.close(']')
	e.close('}')
	return e.b
}
