package secret

import (
	"slices"
	"sync"
	"sync/atomic"
	"unicode/utf8"
)

// How much of a secret counts, in bytes.
const (
	shortest = 8  // a shorter secret is a word: looking for it would end honest answers
	longest  = 24 // of a longer secret these suffice, so that one cut short is found too
	tail     = 16 // and these where the text ends: the rest may have been cut off
	ignored  = 4  // as many may go out before anything is held back

	maxLearned = 64 // secrets that were learned later; a revoked key is still a secret, but not for ever

	// fewNeedles are looked for one after the other; of more, one pass of the automaton
	// takes a time that does not grow with what was learned.
	fewNeedles = 8
)

// Detector knows what must not pass. It finds a secret exactly as it is written
// (any other encoding of it passes), by its first 24 bytes or all of it if it is
// shorter. A text that ends in 16 bytes of one counts as well: the limit on the
// answer's length may have cut the rest.
//
// Give it keys and passwords, not addresses: "redis://localhost:6379/0" is
// a setting, and a thing people ask about.
type Detector struct{ m *memory }

// memory is all that a Detector has seen. What is looked for is never changed but
// replaced, so that nobody waits who reads.
type memory struct {
	now atomic.Pointer[veil]

	mu      sync.Mutex // of who learns
	given   []String   // from the beginning
	learned []String   // later, the latest last
}

// veil hides what it holds from fmt, as String's pointer hides its value. One
// pointer is not enough here: a verb that does not suit it, such as %s, makes fmt
// follow a pointer to a struct, but never two.
type veil struct{ a *automaton }

// NewDetector looks for all of the secrets at once, for as long as it lives. Those
// shorter than 8 bytes are left out.
func NewDetector(secrets ...String) *Detector {
	m := &memory{given: long(secrets)}
	m.now.Store(&veil{newAutomaton(m.given)})
	return &Detector{m}
}

// Learn looks for these secrets as well, from its return on; streams that have
// begun go on with what was known then. Give it all that are in force whenever
// they change: it keeps the 64 that it heard of last, and those from the beginning.
func (d *Detector) Learn(secrets ...String) {
	m := d.m
	m.mu.Lock()
	defer m.mu.Unlock()
	learned := slices.Clone(m.learned)
	for _, s := range long(secrets) {
		if among(m.given, s) {
			continue
		}
		learned = slices.DeleteFunc(learned, func(old String) bool { return old.Equal(s.Reveal()) })
		learned = append(learned, s)
	}
	learned = learned[max(0, len(learned)-maxLearned):]
	if slices.EqualFunc(learned, m.learned, func(a, b String) bool { return a.Equal(b.Reveal()) }) {
		return
	}
	m.learned = learned
	m.now.Store(&veil{newAutomaton(slices.Concat(m.given, learned))})
}

// long returns those secrets that are long enough to be looked for.
func long(secrets []String) (kept []String) {
	for _, s := range secrets {
		if len(s.Reveal()) >= shortest {
			kept = append(kept, s)
		}
	}
	return kept
}

func among(secrets []String, s String) bool {
	return slices.ContainsFunc(secrets, func(other String) bool { return other.Equal(s.Reveal()) })
}

// In says whether the whole text holds a secret. It finds what a Scan finds; a few
// secrets by themselves.
func (d *Detector) In(text []byte) bool {
	v := d.m.now.Load()
	if len(v.a.needles) > fewNeedles {
		s := Scan{v: v}
		return s.finds(text)
	}
	for i := range v.a.needles {
		if n := &v.a.needles[i]; n.in(text) || n.ends(text) {
			return true
		}
	}
	return false
}

// Scan is the state of one stream of text: a few words, which hold no text. What
// is held back is the beginning of a secret, so the Detector has it.
type Scan struct {
	v     *veil
	state uint32
	held  uint8
}

// NewScan begins a stream.
func (d *Detector) NewScan() Scan { return Scan{v: d.m.now.Load()} }

// Held returns how many bytes are held back.
func (s *Scan) Held() int { return int(s.held) }

// Push takes the next piece of the stream and returns what may go out now; that
// aliases piece where nothing was held back before it. Once a secret is found,
// nothing goes out any more. Of a secret, at most the first four bytes ever do.
func (s *Scan) Push(piece []byte) (out []byte, found bool) {
	a, before := s.v.a, s.state
	state := a.walk(before, piece)
	s.state = state
	if state == hit {
		s.held = 0
		return nil, true
	}

	ready := int(s.held) + len(piece)
	held := min(int(a.nodes[state].hold), ready) // what has gone out has gone out
	wasHeld := s.held
	s.held = uint8(held)
	if wasHeld == 0 {
		return piece[:ready-held], false
	}
	if ready == held {
		return nil, false
	}
	out = make([]byte, 0, ready)
	out = append(out, a.nodes[before].last(wasHeld)...)
	out = append(out, piece...)
	return out[:ready-held], false
}

// Flush ends the stream and returns what was held back, unless that is so much
// of a secret that the rest of it must have been cut off.
func (s *Scan) Flush() (rest []byte, found bool) {
	n := &s.v.a.nodes[s.state]
	if s.state == hit || len(n.text) >= tail {
		s.state, s.held = hit, 0
		return nil, true
	}
	rest = []byte(n.last(s.held))
	s.state, s.held = root, 0
	return rest, false
}

// finds is Push and Flush of a whole text.
func (s *Scan) finds(text []byte) bool {
	if s.state = s.v.a.walk(s.state, text); s.state == hit {
		return true
	}
	return len(s.v.a.nodes[s.state].text) >= tail
}

// automaton is Aho and Corasick's: one pass over the text, whatever the number
// of secrets, and right for those that overlap themselves or each other.
type automaton struct {
	nodes   []node
	first   [256]bool // bytes that a secret begins with
	needles []needle
	values  [][]byte // whole, the longest first
}

// node stands for the longest beginning of a secret that the text read so far
// ends in.
type node struct {
	next [256]uint32
	text string
	hold uint8 // how much of text is held back
}

const (
	root uint32 = iota // nothing
	hit                // a whole secret; there is no way out
)

func newAutomaton(secrets []String) *automaton {
	a := &automaton{nodes: make([]node, 2)}
	for c := range a.nodes[hit].next {
		a.nodes[hit].next[c] = hit
	}
	for _, s := range secrets {
		a.values = append(a.values, []byte(s.Reveal()))
		a.learn(s.Reveal()[:min(len(s.Reveal()), longest)])
	}
	slices.SortStableFunc(a.values, func(v, w []byte) int { return len(w) - len(v) })
	a.link()
	return a
}

// learn adds the path of one secret, not yet knowing where to go on a mismatch.
func (a *automaton) learn(v string) {
	a.needles = append(a.needles, newNeedle(v))
	at := root
	for i := range len(v) - 1 {
		to := a.nodes[at].next[v[i]]
		if to == root {
			to = uint32(len(a.nodes))
			a.nodes[at].next[v[i]] = to
			a.nodes = append(a.nodes, node{text: v[:i+1], hold: hold(v[:i+1])})
		}
		at = to
	}
	a.nodes[at].next[v[len(v)-1]] = hit
	a.first[v[0]] = true
}

// hold says how much of a beginning is held back: all but four bytes, or a
// little more where the cut would go through a character.
func hold(text string) uint8 {
	if len(text) <= ignored {
		return 0
	}
	cut := ignored
	for cut > 0 && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return uint8(len(text) - cut)
}

// link fills in where each node goes on a mismatch: where the longest proper
// suffix of its text goes. It works from short texts to long ones.
func (a *automaton) link() {
	suffix := make([]uint32, len(a.nodes))
	for queue := []uint32{root}; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		for c, to := range a.nodes[at].next {
			fallback := root
			if at != root {
				fallback = a.nodes[suffix[at]].next[c]
			}
			switch {
			case to == hit:
			case to == root || fallback == hit:
				a.nodes[at].next[c] = fallback
			default:
				suffix[to] = fallback
				queue = append(queue, to)
			}
		}
	}
}

// walk reads text, beginning in state, and returns the state at its end.
func (a *automaton) walk(state uint32, text []byte) uint32 {
	for i := 0; i < len(text); i++ {
		if state == root {
			skip := a.skip(text[i:])
			if i += skip; i == len(text) {
				break
			}
		}
		state = a.nodes[state].next[text[i]]
	}
	return state
}

// skip returns the index of the first byte that begins a secret, or len(text).
func (a *automaton) skip(text []byte) int {
	for i, c := range text {
		if a.first[c] {
			return i
		}
	}
	return len(text)
}

func (n *node) last(held uint8) string { return n.text[len(n.text)-int(held):] }
