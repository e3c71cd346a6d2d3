package sim

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// reply is what will be answered, worked out before the first byte.
type reply struct {
	id          string
	model       string
	tier        string
	fingerprint string
	created     int64
	choices     int
	pieces      []string // the text, as a stream sends it
	text        string   // the text, whole
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

// compose works out the reply. What can only be refused now is refused here.
func (c *call) compose() (*reply, error) {
	b, r := &c.b, c.req
	switch {
	case b.Fault == NoDone && !r.Stream:
		return nil, badDirective(errors.New("fault=no_done needs stream: true"))
	case b.Leak == "split" && b.Split >= len(c.key):
		return nil, badDirective(fmt.Errorf("split must be less than the key's length, %d", len(c.key)))
	}
	p := &reply{
		id:          "chatcmpl-" + randomID(),
		model:       r.Model,
		tier:        c.tier(),
		fingerprint: "fp_simulated",
		created:     time.Now().Unix(),
		choices:     max(b.Choices, 1),
		finish:      "stop",
		in:          r.tokens(b),
	}
	if b.Choices == 0 && r.N != nil {
		p.choices = *r.N
	}
	if b.Model != "" {
		p.model = b.Model
	}
	if b.Leak == "fields" {
		p.id, p.model, p.fingerprint = "chatcmpl-"+c.key, c.key, "fp_"+c.key
	}
	c.write(p)
	if b.Finish != "" {
		p.finish = b.Finish
	}
	p.out = p.choices * (p.thought + b.tokens(len(p.text)) + b.ExtraTokens)
	return p, nil
}

// write fills in the text, up to the output limit.
func (c *call) write(p *reply) {
	b, limit := &c.b, c.req.limit()
	p.thought = thinking(c.req.Model, c.req.ReasoningEffort)
	if b.Fault == ReasoningOnly {
		p.thought = max(limit, p.thought, 1)
	}
	room := -1
	if limit > 0 {
		p.thought = min(p.thought, limit)
		room = b.room(limit - p.thought)
	}
	if b.Fault == ReasoningOnly || room == 0 {
		p.finish = "length"
		return
	}
	if b.Fault == NullContent {
		return
	}
	text := b.text(c.req.asked)
	if !c.req.Stream && b.Leak == "" && b.Fault == "" && b.Finish == "" { // the usual whole answer needs no pieces
		p.text = cutTo(text, room)
		if len(p.text) < len(text) {
			p.finish = "length"
		}
		return
	}
	pieces := c.poison(b.divide(cutTo(text, room)))
	p.pieces, p.text = trim(pieces, room)
	if room >= 0 && (len(text) > room || len(p.pieces) < len(pieces)) {
		p.finish = "length"
	}
	if b.Finish == "content_filter" { // what followed was withheld
		p.pieces = p.pieces[:(len(p.pieces)+1)/2]
		p.text = strings.Join(p.pieces, "")
	}
}

// text is what a helpful simulator says.
func (b *Behaviour) text(asked string) string {
	if b.Text != "" {
		return b.Text
	}
	var t strings.Builder
	t.Grow(max(b.Size+len(prose), 512))
	switch asked = strings.Join(strings.Fields(asked), " "); {
	case b.Refusal:
		t.WriteString("I'm sorry, but the simulator was told to refuse this.")
	case asked == "":
		t.WriteString("Hello! I am the simulator, not OpenAI: no model reads this, and nothing is spent. You asked me nothing.")
	default:
		t.WriteString("Hello! I am the simulator, not OpenAI: no model reads this, and nothing is spent. You asked: \"")
		t.WriteString(shorten(asked, 200))
		t.WriteString("\". With a real key, the model's answer would stand here.")
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

// divide cuts a text into the chunks of a stream: words, unless told otherwise.
func (b *Behaviour) divide(text string) []string {
	if b.Bytes > 0 {
		return every(text, b.Bytes)
	}
	words := make([]string, 0, strings.Count(text, " ")+1)
	for start := 0; start < len(text); {
		end := strings.IndexByte(text[start+1:], ' ')
		if end < 0 {
			end = len(text) - start - 1
		}
		words = append(words, text[start:start+1+end])
		start += 1 + end
	}
	switch n := b.Chunks; {
	case n == 0:
		return words
	case len(words) < n:
		return evenly(text, n)
	default:
		groups, from := make([]string, n), 0
		for i := range groups {
			to := from
			for _, w := range words[i*len(words)/n : (i+1)*len(words)/n] {
				to += len(w)
			}
			groups[i], from = text[from:to], to
		}
		return groups
	}
}

// every cuts a text after n bytes or where the character ends.
func every(text string, n int) []string {
	pieces := make([]string, 0, len(text)/n+1)
	for text != "" {
		piece := cutTo(text, n)
		if piece == "" { // one character is larger
			_, size := utf8.DecodeRuneInString(text)
			piece = text[:size]
		}
		pieces = append(pieces, piece)
		text = text[len(piece):]
	}
	return pieces
}

// evenly cuts a text into n pieces, or one per character if there are fewer.
func evenly(text string, n int) []string {
	characters := utf8.RuneCountInString(text)
	n = min(n, characters)
	pieces := make([]string, 0, n)
	from, passed := 0, 0
	for i := range text {
		if passed > 0 && passed == (len(pieces)+1)*characters/n {
			pieces = append(pieces, text[from:i])
			from = i
		}
		passed++
	}
	if from < len(text) {
		pieces = append(pieces, text[from:])
	}
	return pieces
}

// poison puts into the text what must not be relayed.
func (c *call) poison(pieces []string) []string {
	var bad []string
	switch c.b.Leak {
	case "whole":
		bad = []string{c.key}
	case "split":
		bad = []string{c.key[:c.b.Split], c.key[c.b.Split:]}
	case "bytes":
		bad = strings.Split(c.key, "")
	}
	if c.b.Fault == InvalidUTF8 {
		bad = append(bad, " \xff\xfe\xc3( \xed\xa0\x80 ")
	}
	return slices.Insert(pieces, min(1, len(pieces)), bad...)
}

// trim keeps the first room bytes; a negative room is endless.
func trim(pieces []string, room int) ([]string, string) {
	text := strings.Join(pieces, "")
	if room < 0 || len(text) <= room {
		return pieces, text
	}
	left := room
	for i, piece := range pieces {
		if len(piece) >= left {
			pieces[i] = cutTo(piece, left)
			if pieces[i] == "" {
				i--
			}
			pieces = pieces[:i+1]
			break
		}
		left -= len(piece)
	}
	return pieces, strings.Join(pieces, "")
}

// cutTo cuts a text to n bytes at most, between characters; a negative n is endless.
func cutTo(text string, n int) string {
	if n < 0 || len(text) <= n {
		return text
	}
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n]
}

// shorten cuts a text to n characters and shows that it did.
func shorten(text string, n int) string {
	for i := range text {
		if n == 0 {
			return text[:i] + "…"
		}
		n--
	}
	return text
}

// tier is the service tier that counts: the project's, unless the call names one.
func (c *call) tier() string {
	switch asked := c.req.ServiceTier; {
	case asked != "" && asked != "auto":
		return asked
	case c.sim.options.ProjectTier != "":
		return c.sim.options.ProjectTier
	}
	return "default"
}

// tokens counts what was asked: texts, and four bytes of anything else a token.
// Harsh adds what OpenAI's frame around each message costs, and counts
// definitions twice, as its renderer prints them.
func (r *chatRequest) tokens(b *Behaviour) int {
	texts, others := 0, len(r.Tools)+len(r.Functions)+len(r.ResponseFormat)
	for i := range r.Messages {
		m := &r.Messages[i]
		texts += len(m.Content.text) + m.Content.other + len(m.Name) + len(m.Refusal) + len(m.ToolCalls) + len(m.FunctionCall)
	}
	if b.Harsh {
		return texts + 2*others + 4*len(r.Messages) + 3
	}
	return b.tokens(texts + others)
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
