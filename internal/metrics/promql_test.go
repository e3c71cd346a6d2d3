package metrics_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The rules and the dashboard are read by programs that are not here. This reads
// the part of PromQL that they use, by the grammar of Prometheus' documentation,
// and refuses what it does not know: a slip is more likely than a new feature.

// selector is one mention of a series.
type selector struct {
	name     string
	matchers []matcher
}

type matcher struct{ label, op, value string }

// query is what an expression is made of.
type query struct {
	selectors []selector
	labels    []string // in by, without, on, ignoring, group_left
}

var (
	promWord   = `[a-zA-Z_:][a-zA-Z0-9_:]*`
	promTokens = regexp.MustCompile(`^(?:\s+|(` + promWord + `)|([0-9]+(?:ms|[smhdwy]))|([0-9]+(?:\.[0-9]+)?)|("(?:[^"\\]|\\.)*")|(=~|!~|!=|==|>=|<=|[-+*/%^=<>(){}\[\],:]))`)

	aggregations = []string{"sum", "min", "max", "avg", "count", "topk", "bottomk", "quantile"}
	setOperators = []string{"and", "or", "unless"}

	// binary are the operators, the loosest first.
	binary = [][]string{{"or"}, {"and", "unless"}, {"==", "!=", ">", "<", ">=", "<="}, {"+", "-"}, {"*", "/", "%"}, {"^"}}

	// functions and the kinds of their arguments, as expr says them.
	functions = map[string]string{
		"rate": "r", "increase": "r", "max_over_time": "r", "last_over_time": "r", "min_over_time": "r", "avg_over_time": "r",
		"histogram_quantile": "ni", "absent": "i", "scalar": "i", "time": "", "hour": "", "minute": "",
		"day_of_month": "", "days_in_month": "",
	}
)

type promReader struct {
	tokens []string
	found  query
}

// parsePromQL says what text names, or why it is no PromQL that we know.
func parsePromQL(text string) (found query, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%v in %s", p, text)
		}
	}()
	r := &promReader{}
	for rest := text; rest != ""; {
		token := promTokens.FindString(rest)
		if token == "" {
			panic("unreadable: " + rest)
		}
		rest = rest[len(token):]
		if strings.TrimSpace(token) != "" {
			r.tokens = append(r.tokens, token)
		}
	}
	if kind := r.expr(); kind == 'r' {
		panic("a range vector is no answer")
	}
	if len(r.tokens) > 0 {
		panic("left over: " + strings.Join(r.tokens, " "))
	}
	return r.found, nil
}

func (r *promReader) peek() string {
	if len(r.tokens) == 0 {
		return ""
	}
	return r.tokens[0]
}

func (r *promReader) next() string {
	token := r.peek()
	if token == "" {
		panic("ends too early")
	}
	r.tokens = r.tokens[1:]
	return token
}

func (r *promReader) accept(token string) bool {
	if r.peek() != token {
		return false
	}
	r.next()
	return true
}

func (r *promReader) expect(token string) {
	if got := r.next(); got != token {
		panic(fmt.Sprintf("%s where %s should be", got, token))
	}
}

// expr reads an expression and says what it is: i an instant vector, r a range
// vector, n a number.
func (r *promReader) expr() (kind byte) { return r.chain(binary) }

// chain reads operands with operators between them, the loosest of which are levels[0].
func (r *promReader) chain(levels [][]string) (kind byte) {
	if len(levels) == 0 {
		r.accept("-")
		return r.operand()
	}
	for kind = r.chain(levels[1:]); slices.Contains(levels[0], r.peek()); {
		op := r.next()
		r.accept("bool")
		matched := r.matching()
		right := r.chain(levels[1:])
		switch {
		case kind == 'r' || right == 'r':
			panic(op + " of a range vector")
		case (matched || slices.Contains(setOperators, op)) && (kind == 'n' || right == 'n'):
			panic(op + " matches a number")
		case right == 'i':
			kind = 'i'
		}
	}
	return kind
}

// matching reads on(…), ignoring(…) and group_left(…).
func (r *promReader) matching() bool {
	if r.peek() != "on" && r.peek() != "ignoring" {
		return false
	}
	r.next()
	r.names()
	if r.peek() == "group_left" || r.peek() == "group_right" {
		r.next()
		if r.peek() == "(" {
			r.names()
		}
	}
	return true
}

func (r *promReader) names() {
	for r.expect("("); !r.accept(")"); {
		r.found.labels = append(r.found.labels, r.word())
		if r.peek() != ")" {
			r.expect(",")
		}
	}
}

func (r *promReader) word() string {
	word := r.next()
	if !regexp.MustCompile(`^` + promWord + `$`).MatchString(word) {
		panic(word + " is no name")
	}
	return word
}

func (r *promReader) operand() (kind byte) {
	if token := r.peek(); token != "" && strings.ContainsAny(token[:1], "0123456789") {
		if last := r.next(); strings.ContainsAny(last[len(last)-1:], "smhdwy") {
			panic("a duration stands alone")
		}
		return 'n'
	}
	if r.accept("(") {
		kind = r.expr()
		r.expect(")")
		return kind
	}
	name := r.word()
	if slices.Contains(aggregations, name) {
		return r.aggregation()
	}
	if args, known := functions[name]; known {
		return r.call(name, args)
	}
	if r.peek() == "(" {
		panic("unknown function " + name)
	}
	return r.selector(name)
}

func (r *promReader) aggregation() byte {
	if r.accept("by") || r.accept("without") {
		r.names()
	}
	r.expect("(")
	if kind := r.expr(); kind != 'i' {
		panic("an aggregation of no instant vector")
	}
	r.expect(")")
	return 'i'
}

func (r *promReader) call(name, args string) byte {
	r.expect("(")
	for i, want := range []byte(args) {
		if i > 0 {
			r.expect(",")
		}
		if got := r.expr(); got != want {
			panic(fmt.Sprintf("%s takes %c, not %c", name, want, got))
		}
	}
	r.expect(")")
	if name == "time" || name == "scalar" {
		return 'n'
	}
	return 'i'
}

func (r *promReader) selector(name string) byte {
	s := selector{name: name}
	if r.accept("{") {
		for !r.accept("}") {
			m := matcher{label: r.word(), op: r.next()}
			m.value = strings.Trim(r.next(), `"`)
			if !slices.Contains([]string{"=", "!=", "=~", "!~"}, m.op) {
				panic(m.op + " is no matcher")
			}
			s.matchers = append(s.matchers, m)
			if r.peek() != "}" {
				r.expect(",")
			}
		}
	}
	r.found.selectors = append(r.found.selectors, s)
	if !r.accept("[") {
		return 'i'
	}
	if d := r.next(); !regexp.MustCompile(`^[0-9]+(ms|[smhdwy])$`).MatchString(d) {
		panic(d + " is no duration")
	}
	r.expect("]")
	return 'r'
}

func TestPromQLIsReadAsPrometheusReadsIt(t *testing.T) {
	for _, good := range []string{
		`up`, `-up * 2`, `a{x="1",y=~"b|c",} > ignoring(x) 0.5 * b`, `sum by (x) (rate(a[5m])) / sum(rate(a{y!="("}[5m]))`,
		`histogram_quantile(0.99, sum by (le) (rate(a_bucket[5m]))) > 0.05`, `a == 0 or absent(a{job="b"})`,
		`a * on(x) group_left(y) b`, `a * scalar((days_in_month() - day_of_month() + 1) * 86400)`, `time() - a`,
	} {
		if _, err := parsePromQL(good); err != nil {
			t.Errorf("refused: %v", err)
		}
	}
	for _, bad := range []string{
		``, `sum(a`, `sum(a))`, `rate(a)`, `rate(a[5m]`, `rate(a[x])`, `a[5m]`, `a{x=1`, `a{x="1"} b`, `a >`, `a > > b`, `nosuch(a)`, `5m`,
		`sum by x (a)`, `1 and a`, `1 * on(x) a`, `histogram_quantile(a, b)`, `a{x>"1"}`, `a # b`, `max_over_time(a)`, `sum(rate(a[5m])[5m])`,
		`rate(sum(a)[5m])`, `a $b`, `avg_over_time(rate(a[5m]))`,
	} {
		if q, err := parsePromQL(bad); err == nil {
			t.Errorf("%s was read as %+v", bad, q)
		}
	}
}
