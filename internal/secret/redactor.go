package secret

import (
	"bytes"
	"io"
)

// Redactor is the last line of defence before a log: whatever is written to it
// passes on with every secret masked. Nothing should ever arrive here with one
// in it; a panic in a library, or its error text, might.
//
// It looks at one Write at a time, which is one record for slog.
func Redactor(w io.Writer, secrets ...String) io.Writer {
	r := &redactor{w: w}
	for _, s := range secrets {
		if v := s.Reveal(); len(v) >= shortest {
			r.values = append(r.values, []byte(v))
		}
	}
	return r
}

type redactor struct {
	w      io.Writer
	values [][]byte
}

func (r *redactor) Write(p []byte) (int, error) {
	clean := p
	for _, v := range r.values {
		if bytes.Contains(clean, v) {
			clean = bytes.ReplaceAll(clean, v, []byte(masked))
		}
	}
	if _, err := r.w.Write(clean); err != nil {
		return 0, err
	}
	return len(p), nil
}
