package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	openai "github.com/sashabaranov/go-openai"
)

const tryTimeout = 15 * time.Second

// Try asks OpenAI for the list of models, which costs nothing, and says whether
// the key works and may use model. It is no hot path, so go-openai does it, over
// a client of ours that is bounded and follows no redirect. What OpenAI says in
// its own words is not in the error: it repeats parts of the key.
func Try(ctx context.Context, cfg Config, model string) error {
	ctx, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	config := openai.DefaultConfig(cfg.Key.Reveal())
	config.BaseURL = cfg.BaseURL
	config.OrgID = cfg.Organization
	transport := newTransport()
	defer transport.CloseIdleConnections()
	config.HTTPClient = &http.Client{Transport: bounded{transport, cfg.Project}}

	list, err := openai.NewClientWithConfig(config).ListModels(ctx)
	if api, ok := errors.AsType[*openai.APIError](err); ok {
		return keyProblem(api.HTTPStatusCode)
	}
	if failed, ok := errors.AsType[*openai.RequestError](err); ok && failed.HTTPStatusCode != 0 {
		return keyProblem(failed.HTTPStatusCode)
	}
	if err != nil {
		return fmt.Errorf("ask OpenAI for its models: no usable answer: is OPENAI_BASE_URL right, and can this machine reach it?")
	}
	if !slices.ContainsFunc(list.Models, func(m openai.Model) bool { return m.ID == model }) {
		return fmt.Errorf("the key works, but OpenAI does not list the model %q for it: choose another OPENAI_MODEL, or allow the model in the key's project", model)
	}
	return nil
}

func keyProblem(status int) error {
	switch status {
	case http.StatusUnauthorized:
		return errors.New("OpenAI refuses the key (401): it is wrong or revoked; make a new one and put it into OPENAI_API_KEY")
	case http.StatusForbidden:
		return errors.New("OpenAI refuses the key (403): its project or its permissions do not allow this, or your country is not served")
	case http.StatusTooManyRequests:
		return errors.New("OpenAI accepts the key but answers 429: its rate limit or its quota is used up; look at the project's limits")
	default:
		return fmt.Errorf("OpenAI answered %d when asked for its models; try again later", status)
	}
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
		resp.Body = http.MaxBytesReader(nil, resp.Body, maxAnswer)
	}
	return resp, err
}
