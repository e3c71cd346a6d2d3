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
	return NewDetector(secrets...).Redactor(w)
}

// Redactor is the same for all that d knows, and will have learned.
func (d *Detector) Redactor(w io.Writer) io.Writer { return &redactor{w, d} }

// Mask returns text with every secret in it masked: text itself where there is
// none. A secret counts only as a whole here.
func (d *Detector) Mask(text []byte) []byte {
	a := d.m.now.Load().a
	if len(a.values) > fewNeedles && a.walk(root, text) != hit {
		return text
	}
	for _, v := range a.values {
		if bytes.Contains(text, v) {
			text = bytes.ReplaceAll(text, v, []byte(masked))
		}
	}
	return text
}

type redactor struct {
	w io.Writer
	d *Detector
}

func (r *redactor) Write(p []byte) (int, error) {
	if _, err := r.w.Write(r.d.Mask(p)); err != nil {
		return 0, err
	}
	return len(p), nil
}
