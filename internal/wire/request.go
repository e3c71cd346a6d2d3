package wire

// Sent is what keyshield decides about a request that goes upstream; a client has
// no say in it.
type Sent struct {
	OutputLimit      int64  // always set
	MaxTokens        bool   // the model knows the limit as max_tokens (chat completions only)
	ServiceTier      string // always set: absent means the project's setting, which may cost double
	Effort           string // of reasoning; "" sends none
	SafetyIdentifier string // the caller's pseudonym
	SystemPrompt     string // comes before all that the client says; "" sends none
}

// How large a request may be, besides its bytes.
const (
	maxMessages    = 2000 // messages, or input items
	maxParts       = 250  // of one message
	maxTools       = 128
	maxToolCalls   = 128     // of one message
	maxSchema      = 16      // how deep
	maxSchemaBytes = 1 << 20 // of one, in ASCII
	maxName        = 64      // bytes of a tool's name
	maxCallID      = 256
	maxModel       = 128
	maxInputs      = 2048 // of embeddings and moderations
	maxDimensions  = 16384
	maxStop        = 1024 // bytes of a stop sequence
	maxBias        = 1024 // entries of logit_bias
	maxUser        = 512  // bytes of what is dropped: user, and a value of metadata
)
