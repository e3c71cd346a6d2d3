package wire

import (
	"math"

	"keyshield/internal/strict"
)

// What becomes of a client's body, whichever endpoint it is for. Read…Request decodes
// it by allow-lists (package strict) into a type of ours, so that nothing of the
// client's bytes is left: a member, a kind of tool, item or part, or a value that no
// list of ours has is refused by the field's name, and so is what has no bound. What
// the answer does not depend on is checked and dropped. Package policy judges what is
// asked for and decides what is sent; Append writes the request anew from both.
// So what is judged is what is sent.

// Asked is what a client's request wants of a model: the part that is judged.
type Asked struct {
	Model       string // "" when not asked, which only moderations allow
	OutputLimit int64  // 0 when not
	ServiceTier string // "" when not
	Effort      string // of reasoning; "" when not
	LogProbs    bool   // of any words,
	TopLogProbs int64  // and of so many that might have stood there
	System      bool   // has messages of the system or a developer, or instructions
}

// Sent is what keyshield decides about a request that goes upstream; a client has
// no say in it.
type Sent struct {
	OutputLimit      int64  // always set for what is written: 0 for embeddings and moderations
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
	maxSchemaBytes = 1 << 20 // of one, in ASCII
	maxName        = 64      // bytes of a name: a tool's on chat completions, a format's, a speaker's
	maxToolName    = 128     // of a tool's on responses
	maxCallID      = 256
	maxModel       = 128
	maxInputs      = 2048 // of embeddings and moderations
	maxDimensions  = 16384
	maxStop        = 1024 // bytes of a stop sequence
	maxBias        = 1024 // entries of logit_bias
	maxUser        = 512  // bytes of what is dropped: user, and a value of metadata

	maxOutput = math.MaxInt64 // tokens asked for; those sent are the plan's at most
)

// maxSchema is how many brackets deep a schema may be. OpenAI takes ten levels of
// objects, and each is several brackets: a nullable object in a property is four.
// What reads an answer bears 64, and a response repeats a schema four deeper.
//
// Depth does not break the bound of four tokens for a byte of a schema (package
// policy): OpenAI's own renderer (openai/harmony, src/encoding.rs) prints each text
// at most twice, however deep it stands, and a level more only indents its lines,
// which is a token or two for each. The shortest that makes a line is a variant of
// three bytes, "{},", and stays below its twelve.
const maxSchema = 48

// Why a field is refused, where more than one is for this reason.
const (
	cacheIsShared = "writing to the cache is billed, and the cache is shared by all callers"
	runsThere     = "tools that run at OpenAI are not offered, since what they cost has no bound"
)

var (
	serviceTiers = []string{"auto", "default", "flex", "priority", "fast"}
	efforts      = []string{"none", "minimal", "low", "medium", "high", "xhigh", "max"}
)

// wrong refuses a request for what only all its members together show.
func wrong(field, what string) error {
	return strict.Refuse("invalid_field", "Field %q %s.", field, what).About(field)
}

func missing(field string) error { return wrong(field, "is missing") }
