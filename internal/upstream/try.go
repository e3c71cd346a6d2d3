package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	openai "github.com/sashabaranov/go-openai"

	"keyshield/internal/secret"
)

const tryTimeout = 15 * time.Second

// TryKey asks OpenAI for the list of models, which costs nothing, and says whether
// key works and may use model. What OpenAI says in its own words is not in the
// error: it repeats parts of the key.
func TryKey(ctx context.Context, cfg Config, key secret.String, model string) error {
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	transport := newTransport()
	defer transport.CloseIdleConnections()
	models, failed := list(ctx, &cfg, key, transport)
	if failed != nil {
		return failed
	}
	if !slices.ContainsFunc(models, func(m openai.Model) bool { return m.ID == model }) {
		return fmt.Errorf("the key works, but OpenAI does not list the model %q for it: choose another OPENAI_MODEL, or allow the model in the key's project", model)
	}
	return nil
}

// list asks for the models. It is no hot path, so go-openai does it, over a client
// of ours that is bounded and follows no redirect.
func list(ctx context.Context, cfg *Config, key secret.String, over http.RoundTripper) ([]openai.Model, *tryError) {
	config := openai.DefaultConfig(key.Reveal())
	config.BaseURL = cfg.BaseURL
	config.OrgID = cfg.Organization
	config.HTTPClient = &http.Client{Transport: bounded{over, cfg.Project}}

	got, err := openai.NewClientWithConfig(config).ListModels(ctx)
	if api, ok := errors.AsType[*openai.APIError](err); ok {
		return nil, &tryError{api.HTTPStatusCode, true}
	}
	if failed, ok := errors.AsType[*openai.RequestError](err); ok && failed.HTTPStatusCode != 0 {
		return nil, &tryError{failed.HTTPStatusCode, false}
	}
	if err != nil {
		return nil, &tryError{}
	}
	return got.Models, nil
}

// tryError is why a list of models was not given.
type tryError struct {
	status int  // 0: there was no usable answer
	spoken bool // it was OpenAI's own error envelope
}

func (e *tryError) Error() string {
	switch e.status {
	case 0:
		return "ask OpenAI for its models: no usable answer: is OPENAI_BASE_URL right, and can this machine reach it?"
	case http.StatusUnauthorized:
		return "OpenAI refuses the key (401): it is wrong or revoked; make a new one and put it into OPENAI_API_KEY; a restricted key needs the right to list models"
	case http.StatusForbidden:
		return "OpenAI refuses the key (403): its project or its permissions do not allow this (a restricted key needs the right to list models), or your country is not served"
	case http.StatusTooManyRequests:
		return "OpenAI accepts the key but answers 429: its rate limit or its quota is used up; look at the project's limits"
	}
	return fmt.Sprintf("OpenAI answered %d when asked for its models; try again later", e.status)
}

// verdict is what a failed try says about the key itself. OpenAI knows a key that
// met a limit. One that may not list models (403) may still answer prompts, or
// nothing at all.
func (e *tryError) verdict() verdict {
	switch {
	case e.status == http.StatusUnauthorized:
		return refusedKey
	case e.spoken && e.status == http.StatusForbidden:
		return barred
	case e.spoken && e.status == http.StatusTooManyRequests:
		return works
	}
	return unclear
}

// bounded adds the project, caps the answer, and turns a redirect into the failure
// it is: http.Client would follow it with the key, and go-openai takes it for
// success.
type bounded struct {
	http.RoundTripper
	project string
}

func (t bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	if t.project != "" {
		r = r.Clone(r.Context())
		r.Header.Set("OpenAI-Project", t.project)
	}
	resp, err := t.RoundTripper.RoundTrip(r)
	if err == nil && resp.StatusCode >= 300 && resp.StatusCode < 400 {
		resp.Body.Close()
		return nil, errors.New("redirect refused")
	}
	if err == nil {
		resp.Body = http.MaxBytesReader(nil, resp.Body, UsualAnswer)
	}
	return resp, err
}
