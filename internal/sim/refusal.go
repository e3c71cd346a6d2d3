package sim

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// refusal is an error in OpenAI's envelope.
type refusal struct {
	status  int
	message string
	kind    string // "type"
	param   string // "" is null
	code    string // "" is null
}

func (r *refusal) Error() string { return r.message }

const invalidRequest = "invalid_request_error"

func invalid(param, code, format string, args ...any) *refusal {
	return &refusal{http.StatusBadRequest, fmt.Sprintf(format, args...), invalidRequest, param, code}
}

func (c *call) badDirective(err error) *refusal {
	return &refusal{http.StatusBadRequest, "Bad simulator directive: " + err.Error(), "sim_directive", c.q.param, "sim_directive"}
}

func noKey() *refusal {
	return &refusal{http.StatusUnauthorized, "You didn't provide an API key. You need to provide your API key in an " +
		"Authorization header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY). You can obtain an API key from " +
		"https://platform.openai.com/account/api-keys.", invalidRequest, "", ""}
}

func wrongKey(key string) *refusal {
	return &refusal{http.StatusUnauthorized, fmt.Sprintf("Incorrect API key provided: %s. You can find your API key at "+
		"https://platform.openai.com/account/api-keys.", mask(key)), invalidRequest, "", "invalid_api_key"}
}

// mask keeps the ends of a key, as OpenAI does: eight bytes and four. A short
// one it repeats whole, which is why its error texts must not be relayed.
func mask(key string) string {
	if len(key) <= 12 {
		return key
	}
	return key[:8] + strings.Repeat("*", len(key)-12) + key[len(key)-4:]
}

func noSuchModel(model string) *refusal {
	return &refusal{http.StatusNotFound, fmt.Sprintf("The model `%s` does not exist or you do not have access to it.", model),
		invalidRequest, "", "model_not_found"}
}

func wrongMethod(r *http.Request) *refusal {
	return &refusal{http.StatusMethodNotAllowed, fmt.Sprintf("Not allowed to %s on %s. (HINT: Perhaps you meant to use a "+
		"different HTTP method?)", r.Method, r.URL.Path), invalidRequest, "", "method_not_supported"}
}

func (c *call) unknownPath() error {
	if _, err := c.receive(); err != nil {
		return err
	}
	return &refusal{http.StatusNotFound, fmt.Sprintf("Invalid URL (%s %s)", c.r.Method, c.r.URL.Path), invalidRequest, "", ""}
}

// refuse sends an envelope; in OpenAI's it is indented.
func (c *call) refuse(r *refusal) {
	body := r.append(nil, true)
	c.w.Header()["Content-Length"] = []string{strconv.Itoa(len(body))}
	c.begin(r.status, "application/json; charset=utf-8")
	_, _ = c.w.Write(body) // a client that has left misses nothing
}

// append writes the envelope.
func (r *refusal) append(dst []byte, indented bool) []byte {
	open, comma, end := `{"error":{"message":`, `,`, "}}"
	colon := `:`
	if indented {
		open, comma, end, colon = "{\n    \"error\": {\n        \"message\": ", ",\n        ", "\n    }\n}\n", ": "
	}
	dst = appendString(append(dst, open...), r.message, false)
	for _, m := range [...]struct{ name, value string }{{"type", r.kind}, {"param", r.param}, {"code", r.code}} {
		dst = append(dst, comma...)
		dst = append(append(appendString(dst, m.name, false), colon...), nullable(m.value)...)
	}
	return append(dst, end...)
}

func nullable(s string) string {
	if s == "" {
		return "null"
	}
	return string(appendString(nil, s, false))
}

// deny answers with a status, a page or a redirect instead of a completion.
func (c *call) deny() error {
	c.sim.leave(c, failed)
	h := c.w.Header()
	if c.b.RetryAfter != "" {
		h.Set("Retry-After", c.b.RetryAfter)
	}
	if c.b.RetryAfterMS != "" {
		h.Set("Retry-After-Ms", c.b.RetryAfterMS)
	}
	if c.b.Redirect != "" {
		h.Set("Location", c.b.Redirect)
		c.begin(statusOr(c.b.Status, http.StatusTemporaryRedirect), "text/html")
		return errEnded
	}
	if c.b.HTML {
		c.begin(statusOr(c.b.Status, http.StatusOK), "text/html; charset=UTF-8")
		_ = c.send(c.page())
		return errEnded
	}
	no := c.failure()
	if c.b.Leak == "error" {
		no.message += " Key: " + c.key
	}
	c.refuse(no)
	return errEnded
}

func statusOr(status, usual int) int {
	if status == 0 {
		return usual
	}
	return status
}

// page is what a proxy in between shows.
func (c *call) page() []byte {
	status := statusOr(c.b.Status, http.StatusOK)
	title := strconv.Itoa(status) + " " + http.StatusText(status)
	leak := ""
	if c.b.Leak == "error" {
		leak = "<p>" + c.key + "</p>\n"
	}
	return []byte("<html>\r\n<head><title>" + title + "</title></head>\r\n<body>\r\n<center><h1>" + title +
		"</h1></center>\r\n" + leak + "<hr><center>cloudflare</center>\r\n</body>\r\n</html>\r\n")
}

// failure is OpenAI's error for the status asked for.
func (c *call) failure() *refusal {
	if c.b.Quota {
		return &refusal{http.StatusTooManyRequests, "You exceeded your current quota, please check your plan and billing details. " +
			"For more information on this error, read the docs: https://platform.openai.com/docs/guides/error-codes/api-errors.",
			"insufficient_quota", "", "insufficient_quota"}
	}
	server := func(message string) *refusal { return &refusal{c.b.Status, message, "server_error", "", ""} }
	switch c.b.Status {
	case http.StatusBadRequest:
		if c.q.endpoint == chats {
			return invalid("messages.[0].content", "", "Invalid value for 'content': expected a string, got null.")
		}
		return invalid(c.q.param, "invalid_type", "Invalid type for '%s': expected one of a string or array, but got null instead.", c.q.param)
	case http.StatusUnauthorized:
		return wrongKey(c.key)
	case http.StatusForbidden:
		return &refusal{c.b.Status, "Country, region, or territory not supported", "request_forbidden", "", "unsupported_country_region_territory"}
	case http.StatusNotFound:
		return noSuchModel(c.q.model)
	case http.StatusTooManyRequests:
		return &refusal{c.b.Status, fmt.Sprintf("Rate limit reached for %s in organization org-simulated on requests per min (RPM): "+
			"Limit 3, Used 3, Requested 1. Please try again in 20s. Visit https://platform.openai.com/account/rate-limits to "+
			"learn more.", c.q.model), "requests", "", "rate_limit_exceeded"}
	case http.StatusInternalServerError:
		return server("The server had an error while processing your request. Sorry about that! You can retry your request, or " +
			"contact us through our help center at help.openai.com if the error persists. (Please include the request ID " + c.id + " in your message.)")
	case http.StatusServiceUnavailable:
		return server("The engine is currently overloaded, please try again later.")
	}
	if c.b.Status < 500 {
		return &refusal{c.b.Status, http.StatusText(c.b.Status) + ", simulated.", invalidRequest, "", ""}
	}
	return server(http.StatusText(c.b.Status) + ", simulated.")
}
