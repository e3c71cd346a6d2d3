package server

import (
	"bytes"
	"errors"
	"maps"
	"slices"

	"keyshield/internal/apierr"
	"keyshield/internal/secret"
	"keyshield/internal/wire"
)

// ears listen for our key in a document, and across the events of a stream.
type ears struct {
	detector  *secret.Detector
	first     secret.Scan  // what the first voice has said; a client puts its pieces together
	last      int          // the voice heard last,
	scan      *secret.Scan // and what it has said; nil before any
	held      int          // bytes that may be the beginning of our key
	generated int          // texts of the model in this document
	broken    error        // why nothing more may pass

	voices  map[int]*secret.Scan // what each has said; nil while there is one
	scratch []byte
}

// maxVoices bounds the texts of one stream: more tool calls at once nobody asks for.
const maxVoices = 1024

// hear takes one string of a document. What the model wrote may be cut anywhere
// between two events; of everything else only what is escaped is looked at here,
// since search looks at the bytes.
func (e *ears) hear(l wire.Literal, voice int) {
	if voice == wire.NotGenerated && bytes.IndexByte(l, '\\') < 0 {
		return
	}
	text, plain := l.Plain()
	if !plain {
		e.scratch = l.AppendText(e.scratch[:0])
		text = e.scratch
	}
	if voice == wire.NotGenerated {
		e.search(text)
		return
	}
	if len(text) == 0 {
		return
	}
	e.generated++
	scan := e.of(voice)
	e.held -= scan.Held()
	if _, found := scan.Push(text); found {
		e.broken = apierr.From(errLeak)
	}
	e.held += scan.Held()
}

// of is what a voice has said so far.
func (e *ears) of(voice int) *secret.Scan {
	switch {
	case e.scan == nil:
		e.first = e.detector.NewScan()
		e.last, e.scan = voice, &e.first
	case voice != e.last:
		if e.voices == nil {
			e.voices = map[int]*secret.Scan{e.last: e.scan}
		}
		scan := e.voices[voice]
		if scan == nil {
			begun := e.detector.NewScan()
			scan = &begun
			e.voices[voice] = scan
		}
		if len(e.voices) > maxVoices {
			e.broken = interruptedBy(errVoices)
		}
		e.last, e.scan = voice, scan
	}
	return e.scan
}

var errVoices = errors.New("the answer has more texts at once than anybody asks for")

// search looks for the key in what is whole.
func (e *ears) search(text []byte) {
	if e.detector.In(text) {
		e.broken = apierr.From(errLeak)
	}
}

// end finds a text that ended in so much of the key that the rest of it must have
// been cut off.
func (e *ears) end() error {
	scans := slices.AppendSeq([]*secret.Scan{&e.first}, maps.Values(e.voices))
	if e.scan == nil {
		scans = nil
	}
	for _, scan := range scans {
		if _, found := scan.Flush(); found {
			e.broken = apierr.From(errLeak)
		}
	}
	return e.broken
}
