package server

import "net/http"

// security is what earns an A+ in the MDN Observatory, on every answer. The
// values are shared between requests: net/http only reads them.
var security = []struct {
	name  string
	value []string
}{
	{"Cache-Control", []string{"no-store"}},
	{"Content-Security-Policy", []string{"default-src 'none'; frame-ancestors 'none'"}},
	{"Cross-Origin-Resource-Policy", []string{"same-origin"}},
	{"Permissions-Policy", []string{"camera=(), geolocation=(), microphone=()"}},
	{"Referrer-Policy", []string{"no-referrer"}},
	{"Strict-Transport-Security", []string{"max-age=63072000; includeSubDomains"}}, // two years
	{"X-Content-Type-Options", []string{"nosniff"}},
	{"X-Frame-Options", []string{"DENY"}},
}

func secure(h http.Header) {
	for _, f := range security {
		h[f.name] = f.value
	}
}
