package source

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"net/http"
	"regexp"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"

	"keyshield/internal/upstream"
)

const gcpEndpoint = "https://secretmanager.googleapis.com"

var gcpName = regexp.MustCompile(`^projects/[a-z0-9][a-z0-9.:-]{0,63}/secrets/[A-Za-z0-9_-]{1,255}$`)

// gcpSecret reads the latest version of a secret of Google Secret Manager. Who we
// are says the key file of a service account, or the machine's metadata server.
type gcpSecret struct {
	name   string
	url    string
	tokens *gcpTokens
	client *http.Client
}

func openGCP(name string, o Options) (*gcpSecret, error) {
	if !gcpName.MatchString(name) {
		return nil, errors.New("gcp-sm: the name must be projects/<project>/secrets/<secret>")
	}
	client := newClient(newTransport())
	return &gcpSecret{
		name:   name,
		url:    strings.TrimSuffix(firstOf(o.Endpoint, gcpEndpoint), "/") + "/v1/" + name + "/versions/latest:access",
		tokens: newGCPTokens(client, o),
		client: client,
	}, nil
}

func (g *gcpSecret) String() string { return "gcp-sm:" + g.name }

func (g *gcpSecret) Read(ctx context.Context) ([]upstream.Key, error) {
	token, err := g.tokens.token(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s: who we are: %w", g, err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, g.url, nil)
	if err != nil {
		return nil, fmt.Errorf("%s: its address is not right", g)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	body, _, err := fetch(g.client, r)
	if err != nil {
		if err == statusError(http.StatusUnauthorized) {
			g.tokens.forget()
		}
		return nil, fmt.Errorf("%s: %w", g, err)
	}
	payload, err := gcpPayload(body)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", g, err)
	}
	return keysOf(g, payload)
}

// gcpPayload decodes an answer and checks that it came whole.
func gcpPayload(body []byte) ([]byte, error) {
	var answer struct {
		Payload struct {
			Data   []byte `json:"data"` // in base64
			CRC32C string `json:"dataCrc32c"`
		} `json:"payload"`
	}
	if json.Unmarshal(body, &answer) != nil {
		return nil, errRubbish
	}
	data := answer.Payload.Data
	if sum := answer.Payload.CRC32C; sum != "" {
		want, err := strconv.ParseUint(sum, 10, 32)
		if err != nil || crc32.Checksum(data, crc32.MakeTable(crc32.Castagnoli)) != uint32(want) {
			return nil, errors.New("its answer does not match its checksum")
		}
	}
	return data, nil
}
