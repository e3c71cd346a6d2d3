package main

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"keyshield/internal/auth"
	"keyshield/internal/secret"
)

func readme(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// blocks are the fenced texts of a language.
func blocks(text, language string) (all []string) {
	fence := ""
	for line := range strings.Lines(text) {
		switch mark, fenced := strings.CutPrefix(line, "```"); {
		case fenced && fence == "":
			fence = line
			if strings.TrimSpace(mark) == language {
				all = append(all, "")
			}
		case fenced:
			fence = ""
		case fence == "```"+language+"\n":
			all[len(all)-1] += line
		}
	}
	return all
}

// TestTheREADMEsCommandsExist: every make target is one, and every command of
// keyshield does what it should with what the README says to set.
func TestTheREADMEsCommandsExist(t *testing.T) {
	t.Parallel()
	text := readme(t)
	makefile, err := os.ReadFile(filepath.Join("..", "..", "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	targets := map[string]bool{}
	for _, found := range regexp.MustCompile(`(?m)^([a-z0-9]+):`).FindAllStringSubmatch(string(makefile), -1) {
		targets[found[1]] = true
	}
	shell := strings.Join(blocks(text, "sh"), "\n") + strings.Join(quoted(text), "\n")
	asked := 0
	for _, found := range regexp.MustCompile(`(?m)(?:^|\$\()make ([a-z0-9]+)`).FindAllStringSubmatch(shell, -1) {
		if asked++; !targets[found[1]] {
			t.Errorf("the README says make %s, which is no target", found[1])
		}
	}
	if asked < 3 {
		t.Errorf("found only %d make commands in the README", asked)
	}

	data := t.TempDir()
	s := start(t, "DATA_DIR="+data) // what usage, enable and backup ask
	env := with(settings(s.back.URL))
	place := strings.NewReplacer("<model>", "gpt-6-luna")
	ran := map[string]bool{}
	for _, found := range regexp.MustCompile(`(?m)(?:^|\$\()(?:bin/)?keyshield ([a-z][^\n#)]*)`).FindAllStringSubmatch(shell, -1) {
		args := strings.Fields(place.Replace(found[1]))
		if ran[args[0]] = true; args[0] == "serve" || args[0] == "dev" {
			launch(t, t.TempDir(), env, args...)
			continue
		}
		set := []string{"DATA_DIR=" + data}
		for name, value := range env {
			set = append(set, name+"="+value)
		}
		if code, stdout, stderr := once(t, t.TempDir(), args[1:], args[0], set...); code != exitOK {
			t.Errorf("keyshield %s: exit code %d\n%s%s", found[1], code, stdout, stderr)
		}
	}
	for _, want := range []string{"check", "serve", "token"} {
		if !ran[want] {
			t.Errorf("the README does not show keyshield %s", want)
		}
	}
}

// TestMakeHelpListsEveryTarget: what it leaves out nobody finds.
func TestMakeHelpListsEveryTarget(t *testing.T) {
	t.Parallel()
	if missing("make") {
		t.Skip("there is no make on this machine")
	}
	root := filepath.Join("..", "..")
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	phony := regexp.MustCompile(`(?m)^\.PHONY: (.+)$`).FindStringSubmatch(string(makefile))
	if phony == nil {
		t.Fatal("the Makefile names no targets")
	}
	help, err := exec.CommandContext(t.Context(), "make", "-s", "-C", root, "help").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range strings.Fields(phony[1]) {
		if !regexp.MustCompile(`(?m)^` + target + `\t\S`).Match(help) {
			t.Errorf("make help does not say what %s is for:\n%s", target, help)
		}
	}
}

// quoted are the texts between single backquotes.
func quoted(text string) (all []string) {
	for _, found := range regexp.MustCompile("`([^`\n]+)`").FindAllStringSubmatch(text, -1) {
		all = append(all, found[1])
	}
	return all
}

// TestTheREADMEShowsWhatDevPrints, word for word but for the token.
func TestTheREADMEShowsWhatDevPrints(t *testing.T) {
	t.Parallel()
	r := tryOut(t, nil)
	said := regexp.MustCompile(`eyJ[\w.-]+`).ReplaceAllString(r.out.String(), "eyJhbGciOi…")
	said = strings.ReplaceAll(said, r.addr, "127.0.0.1:3000")
	for _, block := range blocks(readme(t), "") {
		if !strings.HasPrefix(block, "keyshield dev") {
			continue
		}
		shown, _, cut := strings.Cut(block, "    …\n")
		if !cut || !strings.Contains(said, shown) {
			t.Errorf("the README shows\n%s\nbut dev prints\n%s", shown, said)
		}
		return
	}
	t.Error("the README does not show what dev prints")
}

// node runs JavaScript, where there is a node to run it.
func node(t *testing.T, program string, env ...string) string {
	t.Helper()
	path, err := exec.LookPath("node")
	if err != nil {
		t.Skip("there is no node on this machine")
	}
	file := write(t, t.TempDir(), "program.mjs", program)
	cmd := exec.CommandContext(t.Context(), path, file)
	cmd.Env = env
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("node: %v\n%s", err, out)
	}
	return string(out)
}

// snippet is the README's JavaScript that holds a text.
func snippet(t *testing.T, holds string) string {
	t.Helper()
	for _, block := range blocks(readme(t), "js") {
		if strings.Contains(block, holds) {
			return block
		}
	}
	t.Fatalf("the README has no JavaScript with %q", holds)
	return ""
}

func TestTheREADMEsThreeLinesSignAToken(t *testing.T) {
	t.Parallel()
	r := start(t)
	program := snippet(t, "createHmac") + `process.stdout.write(sign("ana"));`
	token := node(t, program, "JWT_SECRET="+jwtSecret)
	got := r.ask("hi", "Authorization: Bearer "+token)
	if got.status != http.StatusOK {
		t.Fatalf("the token got %d %s", got.status, got.body)
	}
	if user := r.log.request(t, got.header.Get("X-Request-Id"))["user"]; user != "ana" {
		t.Errorf("it is %v's token, want ana's", user)
	}
}

// TestTheREADMEsFrontEndCodeWorks: it reads a stream to its end, asks for a fresh
// token once when its own has expired, and throws what an error event says.
func TestTheREADMEsFrontEndCodeWorks(t *testing.T) {
	t.Parallel()
	r := start(t)
	expired, err := auth.Mint(secret.New(jwtSecret), auth.Claims{Subject: "ana", TTL: time.Minute}, time.Now().Add(-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	code := strings.Replace(snippet(t, "export async function ask"), "https://api.example.com", r.url, 1)
	program := code + fmt.Sprintf(`
let asked = [];
const getToken = async (fresh) => { asked.push(fresh); return fresh ? %q : %q; };
let text = "";
const end = await ask('[[sim text="one two three — ünï"]]', (delta) => { text += delta; });
console.log(JSON.stringify([text, end.finish_reason, asked]));
text = "";
const broken = await ask('[[sim text="one two three" fault=cut]]', (delta) => { text += delta; }).catch((e) => [e.message, e.code]);
console.log(JSON.stringify([text, broken]));
const refused = await ask("", () => {}).catch((e) => [e.message, e.code]);
console.log(JSON.stringify(refused));
`, r.token("ana"), expired)
	want := `["one two three — ünï","stop",[false,true]]
["one two",["The AI provider stopped answering.","upstream_interrupted"]]
["Invalid prompt format.","invalid_prompt"]
`
	if got := node(t, program); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
