package e2e

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestPagesWords: the parts of the pages that reckon and read, in the browser that
// runs them.
func TestPagesWords(t *testing.T) {
	t.Parallel()
	h := startDev(t)
	v := visit(t, h)
	v.open(t, "/")
	t.Run("amounts are exact", func(t *testing.T) { amountsAreExact(t, v) })
	t.Run("events are whole", func(t *testing.T) { eventsAreWhole(t, v) })
	t.Run("an element runs nothing", func(t *testing.T) { elementsRunNothing(t, v) })
	v.quiet(t)
}

// module imports one of the pages' own.
const module = `const load = (name) => import(new URL(name, document.querySelector('script[type=module]').src).href)
	`

func amountsAreExact(t *testing.T, v *visitor) {
	amounts := []int64{0, 1, 4, 5, 49, 50, 99_999, 100_000, 123_456_789, 999_999_999, 1_000_000_000, 1_999_950_000, 1_000_000_000_000_000, 9_007_199_254_740_991}
	for range 500 {
		amounts = append(amounts, rand.Int64N(1<<rand.IntN(53)+1))
	}
	var got [][]string
	v.runs(t, `async (amounts) => { `+module+`
		const { dollars, exact } = await load('format.js')
		return amounts.map((n) => [dollars(n, 2), dollars(n, 4), exact(n)])
	}`, amounts, &got)
	for i, n := range amounts {
		if diff := cmp.Diff([]string{inDollars(n, 2), inDollars(n, 4), exactly(n)}, got[i]); diff != "" {
			t.Errorf("%d nano-dollars (-want +shown):\n%s", n, diff)
		}
	}
}

// inDollars is the same by other means: rational numbers, rounded half up; what is
// more than nothing has as many places as it takes to show.
func inDollars(nano int64, places int) string {
	r := big.NewRat(nano, 1_000_000_000)
	text := r.FloatString(places)
	for nano > 0 && strings.Trim(text, "0.") == "" {
		places++
		text = r.FloatString(places)
	}
	return "$" + thousands(text)
}

func exactly(nano int64) string {
	text := inDollars(nano, 9)
	for strings.HasSuffix(text, "0") && len(text)-strings.Index(text, ".") > 3 {
		text = strings.TrimSuffix(text, "0")
	}
	return text
}

func thousands(text string) string {
	whole, part, _ := strings.Cut(text, ".")
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	return whole + "." + part
}

// eventsAreWhole: wherever the network cuts a stream, the same events come out.
func eventsAreWhole(t *testing.T, v *visitor) {
	const stream = ": open\n\ndata: {\"delta\":\"Grüße 🎉\"}\r\n\r\nevent: done\rdata: a\rdata:b\r\rdata\n\nevent: x\n\nid: 1\ndata:  two\n\ndata: cut off"
	want := []string{"message|{\"delta\":\"Grüße 🎉\"}", "done|a\nb", "message|", "message| two"}
	var got [][]string
	v.runs(t, `async (text) => { `+module+`
		const { events } = await load('sse.js')
		const bytes = new TextEncoder().encode(text)
		const read = async (...cuts) => {
			const parts = [0, ...cuts].map((from, i) => bytes.slice(from, cuts[i] ?? bytes.length))
			const found = []
			for await (const e of events(new ReadableStream({ start: (c) => (parts.forEach((p) => c.enqueue(p)), c.close()) }))) found.push(e.event + '|' + e.data)
			return found
		}
		const all = [await read()]
		for (let i = 1; i < bytes.length; i++) all.push(await read(i), await read(i, Math.min(i + 1, bytes.length)))
		return all
	}`, stream, &got)
	for i, events := range got {
		if diff := cmp.Diff(want, events); diff != "" {
			t.Fatalf("cut in way %d of %d (-want +got):\n%s", i, len(got), diff)
		}
	}
}

// elementsRunNothing: what could run is refused where elements are made, before the
// policy has to.
func elementsRunNothing(t *testing.T, v *visitor) {
	var refused []string
	attempts := [][2]string{
		{"onclick", "pwned()"}, {"ONERROR", "pwned()"}, {"style", "color: red"}, {"src", "https://example.com/x.js"}, {"srcdoc", "<script>pwned()</script>"},
		{"href", "javascript:pwned()"}, {"href", "https://example.com"}, {"href", "//example.com"}, {"href", "data:text/html,x"}, {"href", " javascript:pwned()"},
	}
	v.runs(t, `async (attempts) => { `+module+`
		const { h } = await load('dom.js')
		return attempts.map(([name, value]) => { try { h('a', { [name]: value }); return '' } catch (e) { return e.constructor.name } })
	}`, attempts, &refused)
	for i, by := range refused {
		if by != "TypeError" {
			t.Errorf("an element is given %s", fmt.Sprint(attempts[i]))
		}
	}
	var allowed string
	v.runs(t, `async () => { `+module+`
		const { h } = await load('dom.js')
		return h('p', { class: 'x' }, '<b>', [null, false, 0, ['<i>']]).outerHTML + h('a', { href: '#/now' }, 'a').getAttribute('href') + h('a', { href: '/admin/' }).getAttribute('href')
	}`, nil, &allowed)
	if want := `<p class="x">&lt;b&gt;0&lt;i&gt;</p>#/now/admin/`; allowed != want {
		t.Errorf("an element is %s, want %s", allowed, want)
	}
}
