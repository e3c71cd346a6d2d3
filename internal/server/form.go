package server

import (
	"net/http"
	"strings"
)

// form is how a text answer is given.
type form int

const (
	asJSON form = iota
	asEvents
	asText
	asUI // the UI message stream of the Vercel AI SDK
)

func (f form) streams() bool { return f != asJSON }

// formOf decides it: by the body's "stream" where it is there, else by Accept.
// Plain text is for those who name no other type (the Vercel AI SDK's text
// stream protocol); axios, which sends "application/json, text/plain, */*",
// means JSON.
func formOf(h http.Header, stream *bool) form {
	if stream != nil && !*stream {
		return asJSON
	}
	events, text, other := accepted(h.Values("Accept"))
	switch {
	case text && !events && !other:
		return asText
	case events || stream != nil:
		return asEvents
	default:
		return asJSON
	}
}

// accepted reports which types an Accept header names (RFC 9110 §12.5.1).
func accepted(values []string) (events, text, other bool) {
	for _, value := range values {
		for kind := range strings.SplitSeq(value, ",") {
			kind, _, _ = strings.Cut(kind, ";")
			switch strings.ToLower(strings.TrimSpace(kind)) {
			case "":
			case "text/event-stream":
				events = true
			case "text/plain":
				text = true
			default:
				other = true
			}
		}
	}
	return events, text, other
}
