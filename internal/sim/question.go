package sim

// request is a decoded and checked body of one endpoint.
type request interface {
	question() *question
	compose(*call) (*reply, error) // what will be answered, or why not
	encode(*call) []byte           // the answer as one JSON object
}

// streamer is a request whose answer can be a stream.
type streamer interface {
	request
	teller(*call) teller
}

// endpoint is where a request came in.
type endpoint int

const (
	chats endpoint = iota
	responses
	embeddings
	moderations
)

// question is what a request of any endpoint comes down to.
type question struct {
	endpoint endpoint
	model    string
	tier     string
	effort   string
	asked    string // the text a directive may stand in, afterwards without it
	param    string // the member that text stands in
	stream   bool
	limit    int // of the output, in tokens; 0: none
	choices  int

	toolbox toolbox
	format  format
	results []string // what the tools answered, when that came last

	texts       int // bytes
	definitions int // bytes of tools and schemas
	frames      int // messages, each with a frame around it
	counted     int // tokens that came as such
}

// speaks reports whether the answer is a text.
func (q *question) speaks() bool { return q.endpoint == chats || q.endpoint == responses }

// tokens counts what was asked: texts, and four bytes of anything else a token.
// Harsh adds what OpenAI's frame around each message costs, and counts
// definitions twice, as its renderer prints them.
func (q *question) tokens(b *Behaviour) int {
	if !b.Harsh {
		return b.tokens(q.texts+q.definitions) + q.counted
	}
	n := q.texts + 2*q.definitions + q.counted
	if q.frames > 0 {
		n += 4*q.frames + 3
	}
	return n
}
