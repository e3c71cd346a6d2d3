// Command openaigo does calls with openai-go: it reads one a line, as JSON, and
// writes what came of each.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"slices"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/packages/ssestream"
)

// call is what the tests ask for.
type call struct {
	SDK string `json:"sdk"`
	Op  string `json:"op"`
	At  struct {
		URL        string            `json:"url"`
		Token      string            `json:"token"`
		Model      string            `json:"model"`
		Embedding  string            `json:"embedding"`
		Moderation string            `json:"moderation"`
		Retries    *int              `json:"retries"`
		Headers    map[string]string `json:"headers"`
	} `json:"at"`
	Prompt  string         `json:"prompt"`
	Prompts []string       `json:"prompts"`
	Texts   []string       `json:"texts"`
	Format  string         `json:"format"`
	ID      string         `json:"id"`
	Extra   map[string]any `json:"extra"`
	After   int            `json:"after"`
}

// reply is what came of a call.
type reply struct {
	Value any        `json:"value,omitempty"`
	Error *problem   `json:"error,omitempty"`
	HTTP  []exchange `json:"http"`
}

type problem struct {
	Class   string `json:"class"`
	Message string `json:"message"`
	Status  int    `json:"status,omitempty"`
	Code    string `json:"code,omitempty"`
	Type    string `json:"type,omitempty"`
	Param   string `json:"param,omitempty"`
	Told    *told  `json:"told,omitempty"`
}

type exchange struct {
	Method  string            `json:"method"`
	URL     string            `json:"url"`
	Sent    map[string]string `json:"sent"`
	Status  int               `json:"status"`
	Headers map[string]string `json:"headers"`
}

// told is what a stream has said.
type told struct {
	Text    string `json:"text"`
	Pieces  int    `json:"pieces"`
	Finish  string `json:"finish,omitempty"`
	Usage   int64  `json:"usage,omitempty"`
	Aborted bool   `json:"aborted"`
}

func (t *told) say(piece string) {
	if piece != "" {
		t.Text += piece
		t.Pieces++
	}
}

type toolCall struct {
	Name      string          `json:"name"`
	Arguments json.RawMessage `json:"arguments"`
}

// client does the calls of one line.
type client struct {
	openai.Client
	call
	ctx  context.Context
	told *told
}

func main() {
	in, out := json.NewDecoder(os.Stdin), json.NewEncoder(os.Stdout)
	for {
		var c call
		if err := in.Decode(&c); err != nil {
			return // the tests are done
		}
		_ = out.Encode(do(c)) // nobody is left to tell
	}
}

func do(c call) (r reply) {
	ops := map[string]map[string]func(*client) (any, error){
		"go chat":      {"answer": answer, "turns": turns, "stream": stream, "giveUp": giveUp, "tools": tools, "toolStream": toolStream, "custom": custom, "object": object},
		"go responses": {"answer": respond, "turns": respondTurns, "stream": respondStream, "giveUp": respondGiveUp, "tools": respondTools, "toolStream": respondToolStream, "custom": respondCustom, "object": respondObject},
	}[c.SDK]
	maps.Copy(ops, map[string]func(*client) (any, error){"embed": embed, "models": models, "model": model, "moderate": moderate})
	op, known := ops[c.Op]
	if !known {
		return reply{Error: &problem{Class: "Error", Message: fmt.Sprintf("%s has no %s: only %v", c.SDK, c.Op, slices.Sorted(maps.Keys(ops)))}}
	}
	options := []option.RequestOption{
		option.WithBaseURL(c.At.URL + "/v1"),
		option.WithAPIKey(c.At.Token),
		option.WithOrganization("org-of-the-caller"),
		option.WithProject("proj-of-the-caller"),
		option.WithMiddleware(func(req *http.Request, next option.MiddlewareNext) (*http.Response, error) {
			e := exchange{Method: req.Method, URL: req.URL.String(), Sent: flat(req.Header)}
			resp, err := next(req)
			if err == nil {
				e.Status, e.Headers = resp.StatusCode, flat(resp.Header)
			}
			r.HTTP = append(r.HTTP, e)
			return resp, err
		}),
	}
	for name, value := range c.At.Headers {
		options = append(options, option.WithHeader(name, value))
	}
	if c.At.Retries != nil {
		options = append(options, option.WithMaxRetries(*c.At.Retries))
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	cl := &client{Client: openai.NewClient(options...), call: c, ctx: ctx}
	value, err := op(cl)
	if err != nil {
		r.Error = describe(err)
		r.Error.Told = cl.told
		return r
	}
	r.Value = value
	return r
}

func flat(h http.Header) map[string]string {
	out := map[string]string{}
	for name := range h {
		out[http.CanonicalHeaderKey(name)] = h.Get(name)
	}
	return out
}

func describe(err error) *problem {
	if e, ok := errors.AsType[*openai.Error](err); ok {
		return &problem{Class: "openai.Error", Message: e.Message, Status: e.StatusCode, Code: e.Code, Type: e.Type, Param: e.Param}
	}
	p := &problem{Class: fmt.Sprintf("%T", err), Message: err.Error()}
	if e, ok := errors.AsType[*ssestream.StreamError](err); ok {
		p.Message = string(e.Event.Data)
	}
	return p
}

// extra is what a test adds to the body.
func (c *client) extra() (options []option.RequestOption) {
	for name, value := range c.Extra {
		options = append(options, option.WithJSONSet(name, value))
	}
	return options
}

// following reads a stream, and hangs up after so many pieces of text.
func following[T any](c *client, open func(context.Context) *ssestream.Stream[T], tell func(T, *told)) (any, error) {
	ctx, cancel := context.WithCancel(c.ctx)
	defer cancel()
	c.told = &told{}
	s := open(ctx)
	defer s.Close()
	for s.Next() {
		tell(s.Current(), c.told)
		if c.told.Pieces == c.After && c.After > 0 && !c.told.Aborted {
			c.told.Aborted = true
			cancel()
		}
	}
	if err := s.Err(); err != nil && !c.told.Aborted {
		return nil, err
	}
	return c.told, nil
}

// patience is a context that gives up when the test says so.
func (c *client) patience() (context.Context, context.CancelFunc) {
	return context.WithTimeout(c.ctx, time.Duration(c.After)*time.Millisecond)
}
