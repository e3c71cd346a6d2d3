package prompt

import "keyshield/internal/strict"

// stream is the one member that the text API's bodies may have beside the prompt.
const stream = "stream"

// members are what a body holds. prompt is "" when it is absent or no string.
type members struct {
	prompt string
	stream *bool
}

// read reads a prompt, and what else the body may have.
func read(body []byte, field string, others ...string) (m members, err error) {
	err = strict.Read(body, append([]string{field}, others...), func(r *strict.Reader, name string) {
		switch {
		case name == stream:
			on := r.Bool()
			m.stream = &on
		case r.Kind() == '"':
			m.prompt = r.String()
		default:
			r.Skip()
		}
	})
	return m, err
}
