package metrics

// codes are those that clients are told, of both APIs: api/openapi.yaml
// lists them. On /v1 a code may also be OpenAI's own word for what was wrong, which
// the client can choose by choosing its fault; so only these have a series.
var codes = [...]string{
	"token_missing", "token_invalid", "invalid_api_key", "origin_not_allowed",
	"invalid_json", "invalid_utf8", "unknown_field", "duplicate_field", "invalid_field", "invalid_request",
	"invalid_prompt", "prompt_too_long", "prompt_empty",
	"body_too_large", "request_timeout", "unsupported_media_type",
	"rate_limited", "rate_limit_exceeded", "too_many_streams",
	"budget_exhausted", "budget_busy", "insufficient_quota",
	"disabled", "endpoint_not_allowed", "model_not_allowed", "model_not_found",
	"overloaded", "unavailable",
	"upstream_error", "upstream_timeout", "upstream_interrupted",
	"output_limit_reached", "content_filtered",
	"not_found", "method_not_allowed", "internal",
}

// signals are what the watch looks at.
var signals = [...]string{"requests", "dollars", "refusals", "addresses"}
