package source

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
)

// alone keeps the SDK from the settings of whoever runs the tests.
func alone(t *testing.T) {
	t.Helper()
	for name, value := range map[string]string{
		"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null", "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_PROFILE": "", "AWS_REGION": "", "AWS_DEFAULT_REGION": "", "AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_SESSION_TOKEN": "",
		"AWS_ENDPOINT_URL": "", "AWS_ENDPOINT_URL_SECRETS_MANAGER": "",
	} {
		t.Setenv(name, value)
	}
}

var signature = regexp.MustCompile(`^AWS4-HMAC-SHA256 Credential=TESTID/\d{8}/eu-west-1/secretsmanager/aws4_request, SignedHeaders=[a-z0-9;-]*host;[a-z0-9;-]*x-amz-security-token;x-amz-target, Signature=[0-9a-f]{64}$`)

// awsAnswers is Secrets Manager's wire protocol, JSON 1.1.
func awsAnswers(t *testing.T, name, answer string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		var asked map[string]string
		json.Unmarshal(body, &asked)
		h := r.Header
		if r.Method != http.MethodPost || r.URL.Path != "/" || h.Get("X-Amz-Target") != "secretsmanager.GetSecretValue" || h.Get("Content-Type") != "application/x-amz-json-1.1" ||
			!signature.MatchString(h.Get("Authorization")) || h.Get("X-Amz-Date") == "" || h.Get("X-Amz-Security-Token") != "test-session" || len(asked) != 1 || asked["SecretId"] != name {
			t.Errorf("asked %s %s %s with %v", r.Method, r.URL, body, h)
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		io.WriteString(w, answer)
	}
}

func awsVault(t *testing.T) vault {
	alone(t)
	return vault{
		kind: "aws-sm", name: "prod/openai",
		env: map[string]string{"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "TESTID", "AWS_SECRET_ACCESS_KEY": "test-secret", "AWS_SESSION_TOKEN": "test-session"},
	}
}

func TestAWSGivesTheKeysAndTheirAge(t *testing.T) {
	v := awsVault(t)
	for form, want := range map[string]string{
		`"SecretString":"test-key-0123456789-1"`:                                            "test-key-0123456789-1",
		`"SecretString":"{\"keys\":[\"test-key-0123456789-2\",\"test-key-0123456789-1\"]}"`: "test-key-0123456789-2 test-key-0123456789-1",
		`"SecretString":"{\"OPENAI_API_KEY\":\"test-key-0123456789-1\",\"other\":\"x\"}"`:   "test-key-0123456789-1",
		`"SecretBinary":"dGVzdC1rZXktMDEyMzQ1Njc4OS0x"`:                                     "test-key-0123456789-1",
	} {
		answer := `{"ARN":"arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod/openai-AbCdEf","CreatedDate":1.7884224005E9,"Name":"prod/openai",` + form + `,"VersionId":"a","VersionStages":["AWSCURRENT"]}`
		s := v.open(t, serve(t, awsAnswers(t, v.name, answer)))
		wantKeys(t, s, want, "")
		keys, err := s.Read(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range keys {
			if since := k.Since.UTC().Format(time.RFC3339); since != "2026-09-03T08:00:00Z" {
				t.Errorf("made at %s", since)
			}
		}
	}
	// An ARN says its region.
	v.name = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:prod/openai-AbCdEf"
	v.env["AWS_REGION"] = "us-east-1"
	wantKeys(t, v.open(t, serve(t, awsAnswers(t, v.name, `{"SecretString":"test-key-0123456789-1"}`))), "test-key-0123456789-1", "")
	// The endpoint of AWS's own tools counts, if it is safe.
	v.env["AWS_ENDPOINT_URL"] = serve(t, awsAnswers(t, v.name, `{"SecretString":"test-key-0123456789-2"}`))
	wantKeys(t, v.open(t, ""), "test-key-0123456789-2", "")
	v.env["AWS_ENDPOINT_URL_SECRETS_MANAGER"] = "http://vault.example"
	if _, err := Open(t.Context(), v.kind, v.name, Options{Getenv: func(n string) string { return v.env[n] }}); err == nil {
		t.Error("an endpoint without TLS was taken")
	}
}

// TestAWSRefusalsSayWhatToDo, with none of AWS's words.
func TestAWSRefusalsSayWhatToDo(t *testing.T) {
	v := awsVault(t)
	for code, want := range map[string]string{
		"ResourceNotFoundException":       "knows no such secret",
		"AccessDeniedException":           "allow secretsmanager:GetSecretValue",
		"UnrecognizedClientException":     "does not take our credentials",
		"ExpiredTokenException":           "does not take our credentials",
		"InvalidRequestException":         "cannot give the secret",
		"test-key-0123456789-of-somebody": "answered 400",
	} {
		s := v.open(t, serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/x-amz-json-1.1")
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprintf(w, `{"__type":%q,"message":"test-key-0123456789-1 is in the message"}`, code)
		}))
		wantKeys(t, s, "", want)
	}

	none := func(string) string { return "" }
	if _, err := Open(t.Context(), v.kind, v.name, Options{Getenv: none}); err == nil || !strings.Contains(err.Error(), "set AWS_REGION") {
		t.Errorf("without a region: %v", err)
	}
	v.env = map[string]string{"AWS_REGION": "eu-west-1"}
	wantKeys(t, v.open(t, serve(t, func(http.ResponseWriter, *http.Request) { t.Error("asked without credentials") })), "", "no credentials for AWS")
}
