// Package upstream asks OpenAI: one call, watched from its first byte to its
// last, sent once.
//
// We do the hot call ourselves and not with go-openai, which has no timeout and no
// byte limit, takes a cut stream for a finished one and a redirect for success.
// The key is added here, per call, and goes to one host only. The call is a
// RoundTrip: it knows nothing of redirects or cookies, so nothing can follow one.
//
// Nothing is ever sent twice behind our back. A request has no GetBody and no
// Idempotency-Key, or net/http would repeat it by itself when a connection
// breaks; what may be repeated is decided in retry.go, and under which key in
// ring.go.
package upstream

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"keyshield/internal/secret"
	"keyshield/internal/socket"
)

const (
	connectTimeout  = 10 * time.Second
	idleConnTimeout = 45 * time.Second // below the minutes after which providers close idle connections
	maxIdleConns    = 512              // net/http's 2 would mean a TLS handshake per call
	maxHeaderBytes  = 64 << 10
	bufferSize      = 2 << 10 // two of them under every stream; a chunk has 300 bytes
)

// Config says where OpenAI is and how long it may take.
type Config struct {
	BaseURL      string // "https://api.openai.com/v1": https, or http to loopback
	Keys         []Key  // the first is used first, the others when OpenAI refuses it
	Organization string
	Project      string

	Timeout    time.Duration // for a whole answer; half of it for its first byte
	StreamIdle time.Duration // between two reads of a stream
	StreamMax  time.Duration // for a whole stream

	Mask  func(...secret.String) // is told of new keys before they are tried: logs are to mask them; may be nil
	Learn func(...secret.String) // is told of keys before they are in force: they are to be found in whatever is sent; may be nil
	Tell  func(KeyEvent)         // of what happens to keys; returns at once; may be nil
}

// Client sends calls to one host, under one key at a time.
type Client struct {
	cfg       Config
	endpoints [endpoints]*url.URL
	models    *url.URL
	ring      *ring
	transport *http.Transport
	rooms     *rooms
}

// New readies a client. It waits for nobody: of several keys, those that stand by
// are tried after its return.
func New(cfg Config) (*Client, error) {
	base, err := url.Parse(cfg.BaseURL)
	if err != nil {
		return nil, fmt.Errorf("base URL: %w", err)
	}
	if base.Path == "" {
		base.Path = "/" // else JoinPath makes a relative path
	}
	c := &Client{
		cfg:       cfg,
		models:    base.JoinPath("models"),
		transport: newTransport(),
		rooms:     newRooms(answerRoom, userRoom),
	}
	for to, path := range paths {
		c.endpoints[to] = base.JoinPath(path)
	}
	if c.ring, err = newRing(&c.cfg, cfg.Keys, c.probe); err != nil {
		return nil, fmt.Errorf("the keys for OpenAI: %w", err)
	}
	return c, nil
}

// Endpoint is what of OpenAI is asked.
type Endpoint int

const (
	Chat Endpoint = iota
	Responses
	Embeddings
	Moderations
	endpoints
)

var paths = [endpoints]string{"chat/completions", "responses", "embeddings", "moderations"}

// Question is one request to OpenAI.
type Question struct {
	To     Endpoint
	Body   []byte // encoded
	Stream bool

	// Theirs says that the client wrote the request, and we only bounded it: that
	// OpenAI refuses it is the client's to know, and a whole answer may take all of
	// the time to begin.
	Theirs bool

	// Shifted says that something of ours stands before what the client wrote: the
	// places that OpenAI names are not theirs.
	Shifted bool

	// Most is how many bytes a whole answer may have. More than UsualAnswer needs
	// TakeRoom, and more than MaxAnswer it never has.
	Most int64

	place *place // that TakeRoom took
}

// Close drops idle connections and tries no key any more. Calls under way go on.
func (c *Client) Close() {
	c.ring.close()
	c.transport.CloseIdleConnections()
}

// Ask posts a question. The Answer is OpenAI's 200; anything else is an error for
// the client (*apierr.Error) whose cause says what happened. Cancelling ctx ends
// the call at once, also while it is answered.
func (c *Client) Ask(ctx context.Context, q Question) (*Answer, error) {
	call := c.begin(ctx, q)
	answer, err := c.attempt(call)
	if err != nil {
		err = call.final(err)
		call.end()
		return nil, err
	}
	call.answered()
	return answer, nil
}

// header is everything we tell OpenAI about ourselves: nothing of the client's.
func (cfg *Config) header(key secret.String) http.Header {
	h := http.Header{
		"Authorization": {"Bearer " + key.Reveal()},
		"Content-Type":  {"application/json"},
		"Accept":        {"application/json, text/event-stream"},
		"User-Agent":    {"keyshield"},
	}
	if cfg.Organization != "" {
		h.Set("OpenAI-Organization", cfg.Organization)
	}
	if cfg.Project != "" {
		h.Set("OpenAI-Project", cfg.Project)
	}
	return h
}

func newTransport() *http.Transport {
	dialer := &net.Dialer{Timeout: connectTimeout, KeepAlive: 30 * time.Second}
	return &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			conn, err := dialer.DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return socket.Quiet(conn), nil
		},
		TLSHandshakeTimeout:    connectTimeout,
		ForceAttemptHTTP2:      true,
		MaxIdleConns:           maxIdleConns,
		MaxIdleConnsPerHost:    maxIdleConns,
		IdleConnTimeout:        idleConnTimeout,
		MaxResponseHeaderBytes: maxHeaderBytes,
		ReadBufferSize:         bufferSize,
		WriteBufferSize:        bufferSize,
		DisableCompression:     true, // a compressed stream arrives in lumps, and a bomb would fit through a byte cap
	}
}
