package sim

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// reply is what will be answered, worked out before the first byte.
type reply struct {
	id          string
	model       string
	tier        string
	fingerprint string
	created     int64
	choices     int
	pieces      []string   // the text, as a stream sends it
	text        string     // the text, whole
	calls       []toolCall // instead of a text
	finish      string

	in, out, thought int // tokens in all; thought is the part of out before the text, per choice
}

const bytesPerToken = 4

// tokens counts a text's.
func (b *Behaviour) tokens(bytes int) int {
	if b.Harsh {
		return bytes
	}
	return (bytes + bytesPerToken - 1) / bytesPerToken
}

// room is how many bytes so many tokens can hold.
func (b *Behaviour) room(tokens int) int {
	if b.Harsh {
		return tokens
	}
	return tokens * bytesPerToken
}

// fits refuses words that this call would belie: what goes wrong must be able to.
// Words of an answer's shape (text, chunks, tool…) are not looked at here.
func (c *call) fits() error {
	b, q := &c.b, c.q
	if q.speaks() && b.Fault == "" && b.Leak == "" {
		return nil
	}
	ofText := []Fault{NoDone, ReasoningOnly, NullContent, InvalidUTF8, Failed}
	for _, rule := range []struct {
		broken bool
		text   string
	}{
		{!q.speaks() && slices.Contains(ofText, b.Fault), "fault=" + string(b.Fault) + " needs an answer with text"},
		{!q.speaks() && (b.Leak == "split" || b.Leak == "bytes" || b.Leak == "last"), "leak=" + b.Leak + " needs an answer with text"},
		{!q.speaks() && b.ExtraTokens > 0, "extra_tokens needs an answer with text"},
		{q.endpoint == moderations && b.Usage != "", "usage needs an answer that is billed"},
		{b.Fault == NoDone && !q.stream, "fault=no_done needs stream: true"},
		{b.Fault == Failed && q.endpoint != responses, "fault=failed needs /v1/responses"},
		{b.Leak == "last" && !q.stream, "leak=last needs stream: true"},
		{b.Leak == "split" && b.Split >= len(c.key), "split must be less than the key's length, " + itoa(len(c.key))},
	} {
		if rule.broken {
			return c.badDirective(errors.New(rule.text))
		}
	}
	return nil
}

// compose works out the reply of an endpoint that speaks. What can only be
// refused now is refused here.
func (c *call) compose(id string) (*reply, error) {
	b := &c.b
	p := c.newReply(id)
	p.choices = c.q.choices
	if b.Choices > 0 && c.q.endpoint == chats {
		p.choices = b.Choices
	}
	if err := c.write(p); err != nil {
		return nil, err
	}
	if b.Finish != "" {
		p.finish = b.Finish
	}
	p.out = p.choices * (p.thought + b.tokens(len(p.text)) + b.ExtraTokens)
	return p, nil
}

// newReply fills in what every answer has.
func (c *call) newReply(id string) *reply {
	p := &reply{
		id:          id,
		model:       c.q.model,
		tier:        c.tier(),
		fingerprint: "fp_simulated",
		created:     time.Now().Unix(),
		choices:     1,
		finish:      "stop",
		in:          c.q.tokens(&c.b),
	}
	if c.b.Model != "" {
		p.model = c.b.Model
	}
	if c.b.Leak == "fields" {
		p.id, p.model, p.fingerprint = id[:strings.IndexAny(id, "-_")+1]+c.key, c.key, "fp_"+c.key
	}
	return p
}

// write fills in the text or the tool calls, up to the output limit.
func (c *call) write(p *reply) error {
	b, limit := &c.b, c.q.limit
	p.thought = thinking(c.q.model, c.q.effort)
	if b.Fault == ReasoningOnly {
		p.thought = max(limit, p.thought, 1)
	}
	room := -1
	if limit > 0 {
		p.thought = min(p.thought, limit)
		room = b.room(limit - p.thought)
	}
	calls, err := c.toolCalls()
	if err != nil {
		return err
	}
	if b.Fault == ReasoningOnly || room == 0 {
		p.finish = "length"
		return nil
	}
	if b.Fault == NullContent {
		return nil
	}
	if len(calls) > 0 {
		c.writeCalls(p, calls, room)
		return nil
	}
	text, isJSON, err := c.text()
	if err != nil {
		return err
	}
	if !c.q.stream && b.Leak == "" && b.Fault == "" && b.Finish == "" { // the usual whole answer needs no pieces
		p.text = cutTo(text, room)
		if len(p.text) < len(text) {
			p.finish = "length"
		}
		return nil
	}
	pieces := c.poison(b.divide(cutTo(text, room), isJSON))
	p.pieces, p.text = trim(pieces, room)
	if room >= 0 && (len(text) > room || len(p.pieces) < len(pieces)) {
		p.finish = "length"
	}
	if b.Finish == "content_filter" { // what followed was withheld
		p.pieces = p.pieces[:(len(p.pieces)+1)/2]
		p.text = strings.Join(p.pieces, "")
	}
	return nil
}

// writeCalls makes the arguments, one call after the other, the pieces of the
// answer. The names are not counted as tokens.
func (c *call) writeCalls(p *reply, calls []toolCall, room int) {
	for i := range calls {
		pieces := c.b.divide(calls[i].args, true)
		if i == 0 {
			pieces = c.poison(pieces)
		}
		calls[i].from = len(p.pieces)
		p.pieces = append(p.pieces, pieces...)
		calls[i].to = len(p.pieces)
	}
	p.finish = "tool_calls"
	planned := len(strings.Join(p.pieces, ""))
	if p.pieces, p.text = trim(p.pieces, room); len(p.text) < planned {
		p.finish = "length"
	}
	if c.b.Finish == "content_filter" {
		p.pieces = p.pieces[:(len(p.pieces)+1)/2]
		p.text = strings.Join(p.pieces, "")
	}
	for _, call := range calls {
		if call.from >= len(p.pieces) {
			break
		}
		call.to = min(call.to, len(p.pieces))
		call.args = strings.Join(p.pieces[call.from:call.to], "")
		p.calls = append(p.calls, call)
	}
}

// text is what is said when no tool is called: the text asked for, JSON, or prose.
func (c *call) text() (text string, isJSON bool, err error) {
	q := c.q
	if !q.format.json || c.b.Text != "" || c.b.Refusal {
		return c.b.text(q.asked, q.results), false, nil
	}
	if !present(q.format.schema) {
		return string(append(appendString([]byte(`{"answer":`), c.b.text(q.asked, q.results), false), '}')), true, nil
	}
	text, err = example(q.format.schema, q.asked)
	if err != nil {
		return "", true, invalid(q.param, "invalid_json_schema", "Invalid schema: %v.", err)
	}
	return text, true, nil
}

// text is what a helpful simulator says.
func (b *Behaviour) text(asked string, results []string) string {
	if b.Text != "" {
		return b.Text
	}
	var t strings.Builder
	t.Grow(max(b.Size+len(prose), 512))
	switch asked = oneLine(asked); {
	case b.Refusal:
		t.WriteString("I'm sorry, but the simulator was told to refuse this.")
	case asked == "":
		t.WriteString("Hello! I am the simulator, not OpenAI: no model reads this, and nothing is spent. You asked me nothing.")
	default:
		t.WriteString("Hello! I am the simulator, not OpenAI: no model reads this, and nothing is spent. You asked: \"")
		t.WriteString(shorten(asked, 200))
		t.WriteString("\". With a real key, the model's answer would stand here.")
	}
	if len(results) > 0 && !b.Refusal {
		t.WriteString(" The tool answered: \"" + shorten(strings.Join(results, "\" and \""), 1_000) + "\".")
	}
	if b.Size == 0 && strings.Count(t.String(), " ") >= b.Chunks {
		return t.String()
	}
	for t.Len() < b.Size || strings.Count(prose, " ")*(t.Len()/len(prose)) < b.Chunks {
		t.WriteString(prose)
	}
	if b.Size > 0 {
		return cutTo(t.String(), b.Size)
	}
	return t.String()
}

const prose = " The rest is only here to fill the page, one plain word after another, so that a stream has something to carry" +
	" and a reader has something to watch. Nothing in it is clever and nothing in it is true."

// tier is the service tier that counts: the project's, unless the call names one.
func (c *call) tier() string {
	switch asked := c.q.tier; {
	case asked != "" && asked != "auto":
		return asked
	case c.sim.options.ProjectTier != "":
		return c.sim.options.ProjectTier
	}
	return "default"
}

// randomID is 29 letters and digits.
func randomID() string {
	const letters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	var id [29]byte
	var bits uint64
	for i := range id {
		if i%10 == 0 {
			bits = rand.Uint64()
		}
		id[i] = letters[bits%62]
		bits /= 62
	}
	return string(id[:])
}
