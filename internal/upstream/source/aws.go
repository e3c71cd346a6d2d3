package source

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/logging"

	"keyshield/internal/upstream"
)

// awsSecret reads a secret of AWS Secrets Manager. The credentials are those that
// every tool of AWS finds: the environment, a profile, the role of the machine.
type awsSecret struct {
	name        string
	client      *secretsmanager.Client
	credentials aws.CredentialsProvider
}

func openAWS(ctx context.Context, name string, o Options) (*awsSecret, error) {
	endpoint := firstOf(o.Endpoint, o.env("AWS_ENDPOINT_URL_SECRETS_MANAGER"), o.env("AWS_ENDPOINT_URL"))
	if err := checkEndpoint(endpoint); err != nil {
		return nil, err
	}
	load := []func(*config.LoadOptions) error{config.WithLogger(logging.Nop{})} // else it warns on stderr
	if region := firstOf(regionOf(name), o.env("AWS_REGION"), o.env("AWS_DEFAULT_REGION")); region != "" {
		load = append(load, config.WithRegion(region))
	}
	if id, key := o.env("AWS_ACCESS_KEY_ID"), o.env("AWS_SECRET_ACCESS_KEY"); id != "" && key != "" {
		fixed := credentials.NewStaticCredentialsProvider(id, key, o.env("AWS_SESSION_TOKEN"))
		load = append(load, config.WithCredentialsProvider(fixed))
	}
	cfg, err := config.LoadDefaultConfig(ctx, load...)
	if err != nil {
		return nil, errors.New("aws-sm: the settings of AWS (AWS_…, ~/.aws) cannot be read: `aws sts get-caller-identity` says why")
	}
	if cfg.Region == "" {
		return nil, errors.New("aws-sm: no region: set AWS_REGION, or name the secret by its ARN")
	}
	client := secretsmanager.NewFromConfig(cfg, func(to *secretsmanager.Options) {
		to.HTTPClient = newClient(capped{awsTransport(cfg)})
		to.Retryer = aws.NopRetryer{} // the Poller reads again
		if endpoint != "" {
			to.BaseEndpoint = &endpoint
		}
	})
	return &awsSecret{name, client, cfg.Credentials}, nil
}

// awsTransport keeps what AWS's settings say of certificates and proxies.
func awsTransport(cfg aws.Config) http.RoundTripper {
	if theirs, ok := cfg.HTTPClient.(*awshttp.BuildableClient); ok {
		t := theirs.GetTransport()
		t.DisableKeepAlives = true
		return t
	}
	return newTransport()
}

// capped bounds what the SDK reads.
type capped struct{ http.RoundTripper }

func (t capped) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := t.RoundTripper.RoundTrip(r)
	if err == nil {
		resp.Body = http.MaxBytesReader(nil, resp.Body, maxAnswer)
	}
	return resp, err
}

func (a *awsSecret) String() string { return "aws-sm:" + a.name }

func (a *awsSecret) Read(ctx context.Context) ([]upstream.Key, error) {
	if _, err := a.credentials.Retrieve(ctx); err != nil {
		return nil, fmt.Errorf("%s: no credentials for AWS: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give this machine a role", a)
	}
	got, err := a.client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &a.name})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", a, awsTrouble(ctx, err))
	}
	payload := got.SecretBinary
	if got.SecretString != nil {
		payload = []byte(*got.SecretString)
	}
	keys, err := keysOf(a, payload)
	if err != nil {
		return nil, err
	}
	for i := range keys {
		keys[i].Since = aws.ToTime(got.CreatedDate)
	}
	return keys, nil
}

// awsTrouble says what went wrong, in our words: the SDK's quote what it read.
func awsTrouble(ctx context.Context, err error) error {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		switch api.ErrorCode() {
		case "ResourceNotFoundException":
			return errors.New("AWS knows no such secret: are the name and the region right, and has it a value?")
		case "AccessDeniedException":
			return errors.New("AWS refuses us: allow secretsmanager:GetSecretValue on this secret, and kms:Decrypt if it has a key of its own")
		case "UnrecognizedClientException", "InvalidSignatureException", "InvalidClientTokenId", "ExpiredTokenException", "MissingAuthenticationToken":
			return errors.New("AWS does not take our credentials: are they right, and the clock of this machine?")
		case "DecryptionFailure", "InvalidRequestException", "InvalidParameterException":
			return errors.New("AWS cannot give the secret: it is about to be deleted, or its key cannot decrypt it")
		}
	}
	resp, ok := errors.AsType[*awshttp.ResponseError](err)
	switch {
	case !ok, resp.HTTPStatusCode() == 0, errors.Is(err, errRedirect):
		return unreached(ctx, err)
	case resp.HTTPStatusCode() == http.StatusOK:
		return errRubbish
	}
	return statusError(resp.HTTPStatusCode())
}

// regionOf is the region that an ARN names; "" for a plain name.
func regionOf(name string) string {
	parts := strings.Split(name, ":")
	if len(parts) < 7 || parts[0] != "arn" {
		return ""
	}
	return parts[3]
}

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}
