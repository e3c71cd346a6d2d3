package source

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"keyshield/internal/secret"
	"keyshield/internal/upstream"
)

const dopplerEndpoint = "https://api.doppler.com"

// doppler reads OPENAI_API_KEY and OPENAI_API_KEYS of one config, as Doppler's API
// gives it: one JSON object with every secret of it. So the config had better hold
// nothing else.
type doppler struct {
	name   string
	url    string
	token  secret.String
	client *http.Client
}

func openDoppler(name string, o Options) (*doppler, error) {
	project, config, ok := strings.Cut(name, "/")
	if !ok || project == "" || config == "" {
		return nil, errors.New("doppler: the name must be <project>/<config>")
	}
	if o.DopplerToken.IsZero() {
		return nil, errors.New("doppler: there is no token: set DOPPLER_TOKEN to a service token of that config")
	}
	endpoint := o.Endpoint
	if endpoint == "" {
		endpoint = dopplerEndpoint
	}
	query := url.Values{
		"project":                 {project},
		"config":                  {config},
		"format":                  {"json"},
		"include_dynamic_secrets": {"false"}, // each reading would make new ones
	}
	return &doppler{
		name:   name,
		url:    strings.TrimSuffix(endpoint, "/") + "/v3/configs/config/secrets/download?" + query.Encode(),
		token:  o.DopplerToken,
		client: newClient(newTransport()),
	}, nil
}

func (d *doppler) String() string { return "doppler:" + d.name }

func (d *doppler) Read(ctx context.Context) ([]upstream.Key, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, d.url, nil)
	if err != nil {
		return nil, fmt.Errorf("%s: its address is not right", d)
	}
	r.Header.Set("Authorization", "Bearer "+d.token.Reveal())
	r.Header.Set("Accept", "application/json")
	body, _, err := fetch(d.client, r)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", d, err)
	}
	if !strings.HasPrefix(strings.TrimSpace(string(body)), "{") {
		return nil, fmt.Errorf("%s: %w", d, errRubbish)
	}
	return keysOf(d, body)
}
