package wire

import "keyshield/internal/strict"

// EmbeddingsRequest is a decoded request to /v1/embeddings.
type EmbeddingsRequest struct {
	Asked
	Inputs     int   // how many vectors the answer has
	Dimensions int64 // of each; 0 when not asked
	Base64     bool  // as which they are wanted, not as numbers

	input inputs
}

// inputs is a text, or several.
type inputs struct {
	texts []string
	list  bool // given as an array, if only of one
}

// ReadEmbeddingsRequest decodes a body. Every error is an *apierr.Error with status
// 400 that names the field. Nothing of body is kept.
func ReadEmbeddingsRequest(body []byte) (*EmbeddingsRequest, error) {
	req := new(EmbeddingsRequest)
	names := []string{"model", "input", "encoding_format", "dimensions", "user"}
	err := strict.Read(body, names, req.member)
	switch {
	case err != nil:
		return nil, err
	case req.Model == "":
		return nil, missing("model")
	case req.input.texts == nil:
		return nil, missing("input")
	}
	req.Inputs = len(req.input.texts)
	return req, nil
}

// member reads one member. For all of them null is absent.
func (req *EmbeddingsRequest) member(r *strict.Reader, name string) {
	if r.Null() {
		return
	}
	switch name {
	case "model":
		req.Model = r.Text(maxModel)
	case "input":
		req.input.read(r)
	case "encoding_format":
		req.Base64 = r.Enum("float", "base64") == "base64"
	case "dimensions":
		req.Dimensions = r.Int(1, maxDimensions)
	case "user":
		readUpTo(r, maxUser)
	}
}

// read reads a text or an array of them, none empty.
func (in *inputs) read(r *strict.Reader) {
	if r.Kind() == '"' {
		in.texts = []string{r.String()}
		if in.texts[0] == "" {
			r.Invalid("must not be empty")
		}
		return
	}
	in.list = true
	n := readEach(r, maxInputs, func() {
		s, ok := readInput(r)
		if in.texts = append(in.texts, s); ok && s == "" {
			r.Invalid("must not be empty")
		}
	})
	if n == 0 {
		r.Invalid("must not be empty")
	}
}

// readInput reads an element of an input. Token ids are what a client may send to
// OpenAI instead: four bytes can be one that stands for a hundred.
func readInput(r *strict.Reader) (s string, ok bool) {
	if k := r.Kind(); k == '0' || k == '[' {
		r.Skip()
		r.Invalid("must be text: token ids have no bound by bytes")
		return "", false
	}
	s = r.String()
	return s, !r.Refused()
}

func (in *inputs) append(e *encoder) {
	e.name("input")
	if in.list {
		e.texts(in.texts)
		return
	}
	e.text(in.texts[0])
}

// Append appends the request as it goes upstream.
func (req *EmbeddingsRequest) Append(dst []byte) []byte {
	format := "float"
	if req.Base64 {
		format = "base64"
	}
	e := start(dst)
	e.textMember("model", req.Model)
	req.input.append(&e)
	e.textMember("encoding_format", format)
	if req.Dimensions > 0 {
		e.name("dimensions")
		e.int(req.Dimensions)
	}
	e.close('}')
	return e.b
}
