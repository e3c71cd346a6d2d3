package main

import (
	"context"
	"fmt"
)

// target is one way to have a prompt answered.
type target struct {
	Name  string
	Notes string // for the report

	// start starts what stands between client and simulator; nil: nothing does.
	start func(ctx context.Context, r *rig, simulator string) (*process, error)

	// alone measures something that no simulator and no client is needed for.
	alone func(ctx context.Context, r *rig, s scenario) (*result, error)

	path string
	key  bool                                                      // the client itself sends the key
	body func(r *rig, prompt string, user int, stream bool) []byte // of a request

	// A yardstick's own errors are shown and break nothing: Go's reverse proxy
	// cuts a stream now and then, when the answer begins before it has sent the
	// whole request.
	yardstick bool

	// How its answers look like, for the load generator's checks.
	whole, token, end string
}

// openAI is what a client of OpenAI sends, and gets: exactly the bytes that
// keyshield sends for the same prompt.
func openAI(name string) target {
	return target{
		Name: name,
		path: "/v1/chat/completions",
		body: func(r *rig, prompt string, user int, stream bool) []byte {
			return r.text.Append(nil, prompt, fmt.Sprintf("%064x", user), stream)
		},
		whole: `"content": "` + answerText + `"`,
		token: `"delta":{"content":"`,
		end:   `data: [DONE]`,
	}
}

func direct() target {
	t := openAI("no proxy")
	t.key = true
	return t
}

func reverse() target {
	t := openAI("reverse proxy")
	t.Notes, t.yardstick = "httputil.ReverseProxy with http.DefaultTransport", true
	t.start = func(ctx context.Context, r *rig, simulator string) (*process, error) {
		return r.startRole(ctx, roleReverse, proxyCore, reversePlan{Simulator: simulator, Key: r.key})
	}
	return t
}

func reverseWarm() target {
	t := openAI("rev. proxy, warm pool")
	t.Notes, t.yardstick = "the same with 512 idle connections kept instead of 2", true
	t.start = func(ctx context.Context, r *rig, simulator string) (*process, error) {
		return r.startRole(ctx, roleReverse, proxyCore, reversePlan{Simulator: simulator, Key: r.key, Idle: 512})
	}
	return t
}

func keyshield() target {
	return target{
		Name:  "keyshield",
		Notes: "serve with JWT (HS256), both limits, budgets in a ledger on disk, CORS, validation, cleaning; log to a file",
		start: startKeyshield,
		path:  "/api/generate-text",
		body: func(_ *rig, prompt string, _ int, stream bool) []byte {
			return fmt.Appendf(nil, `{"userPrompt": %q, "stream": %t}`, prompt, stream)
		},
		whole: `{"result":"` + answerText + `"}`,
		token: `{"delta":"`,
		end:   `event: done`,
	}
}

// relay is the same program as any OpenAI client sees it.
func relay() target {
	t := openAI("keyshield /v1")
	t.Notes = "the same server, asked by an OpenAI client: decoded, bounded, encoded anew; events passed on as they are"
	t.start = startKeyshield
	return t
}

// request is one request of a user as it goes over the wire. The headers are
// the same for every target, so that a proxy that copies them all has as much
// to do as in a browser's hands, or less.
func (t *target) request(r *rig, prompt string, user int, stream bool) []byte {
	token := r.tokens[user]
	if t.key {
		token = r.key
	}
	body := t.body(r, prompt, user, stream)
	head := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: bench\r\nAccept: */*\r\n"+
		"Accept-Encoding: gzip, deflate, br\r\nOrigin: %s\r\nAuthorization: Bearer %s\r\n"+
		"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n", t.path, origin, token, len(body))
	return append([]byte(head), body...)
}
