package deploy_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// letIn is all that the image is made of.
var letIn = []string{"api", "cmd", "go.mod", "go.sum", "internal"}

// instruction is one line of a Dockerfile, continuation lines joined.
type instruction struct {
	word string // FROM, COPY, …
	rest string
}

// stages splits the Dockerfile at its FROMs.
func stages(t *testing.T) [][]instruction {
	t.Helper()
	var all [][]instruction
	text := strings.ReplaceAll(read(t, "Dockerfile"), "\\\n", " ")
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		word, rest, _ := strings.Cut(line, " ")
		word = strings.ToUpper(word)
		if word == "FROM" {
			all = append(all, nil)
		}
		if len(all) == 0 {
			t.Fatalf("%s stands before the first FROM", word)
		}
		last := len(all) - 1
		all[last] = append(all[last], instruction{word, strings.TrimSpace(rest)})
	}
	if len(all) < 2 {
		t.Fatalf("the Dockerfile has %d stages, want a builder and an image", len(all))
	}
	return all
}

// find returns the arguments of every such instruction of a stage.
func find(stage []instruction, word string) (args []string) {
	for _, i := range stage {
		if i.word == word {
			args = append(args, i.rest)
		}
	}
	return args
}

func TestImageRunsAsANumberedNonRootUser(t *testing.T) {
	all := stages(t)
	users := find(all[len(all)-1], "USER")
	if len(users) == 0 {
		t.Fatal("the image names no USER: it would run as root")
	}
	last := users[len(users)-1]
	if !regexp.MustCompile(`^[1-9][0-9]*(:[1-9][0-9]*)?$`).MatchString(last) {
		t.Errorf("USER %s: want a number above 0, since the image has no /etc/passwd and Kubernetes' runAsNonRoot checks nothing else", last)
	}
}

func TestImageDeclaresNoSecret(t *testing.T) {
	secretive := regexp.MustCompile(`(?i)KEY|SECRET|TOKEN|PASSWORD|CREDENTIAL`)
	for _, stage := range stages(t) {
		for _, word := range []string{"ARG", "ENV", "LABEL"} {
			for _, rest := range find(stage, word) {
				if secretive.MatchString(strings.ReplaceAll(rest, "KEYSHIELD_IMAGE", "")) {
					t.Errorf("%s %s: what is declared here is written into the image's history", word, rest)
				}
			}
		}
	}
	wantNoSecret(t, "Dockerfile")
}

func TestImageChecksItsOwnHealthAndServes(t *testing.T) {
	all := stages(t)
	image := all[len(all)-1]
	checks := find(image, "HEALTHCHECK")
	if len(checks) != 1 {
		t.Fatalf("%d HEALTHCHECKs, want 1", len(checks))
	}
	_, command, _ := strings.Cut(checks[0], "CMD ")
	wantExec(t, "HEALTHCHECK", command, "/keyshield", "healthcheck")
	wantExec(t, "ENTRYPOINT", strings.Join(find(image, "ENTRYPOINT"), ""), "/keyshield")
	wantExec(t, "CMD", strings.Join(find(image, "CMD"), ""), "serve")
	if ports := find(image, "EXPOSE"); !slices.Equal(ports, []string{settings(t)["PORT"]}) {
		t.Errorf("EXPOSE %v, want PORT of .env.example, %s", ports, settings(t)["PORT"])
	}
}

// imageEnv is what the image sets.
func imageEnv(t *testing.T) map[string]string {
	t.Helper()
	all := stages(t)
	env := map[string]string{}
	for _, rest := range find(all[len(all)-1], "ENV") {
		name, value, ok := strings.Cut(rest, "=")
		if !ok || strings.ContainsAny(value, " \"'$") {
			t.Fatalf("ENV %s: want one NAME=value a line", rest)
		}
		env[name] = value
	}
	return env
}

// TestImageSaysThatItsDiskForgets: by KEYSHIELD_IMAGE alone serve knows on a plain
// Docker host that it must have a volume. A VOLUME would always give it one, which
// the next container does not have.
func TestImageSaysThatItsDiskForgets(t *testing.T) {
	if diff := cmp.Diff(map[string]string{"KEYSHIELD_IMAGE": "1", "DATA_DIR": "/data"}, imageEnv(t)); diff != "" {
		t.Error(diff)
	}
	all := stages(t)
	if volumes := find(all[len(all)-1], "VOLUME"); len(volumes) > 0 {
		t.Errorf("VOLUME %v", volumes)
	}
	owner := find(all[len(all)-1], "USER")[0]
	if want := fmt.Sprintf("--chown=%s /out/data /data", owner); !slices.ContainsFunc(find(all[len(all)-1], "COPY"), func(c string) bool { return strings.HasSuffix(c, want) }) {
		t.Errorf("/data is not the user's (%s): a new volume there could not be written", owner)
	}
}

// wantExec insists on the exec form: the image has no shell for the other one.
func wantExec(t *testing.T, what, got string, want ...string) {
	t.Helper()
	var words []string
	if err := json.Unmarshal([]byte(got), &words); err != nil || !slices.Equal(words, want) {
		t.Errorf("%s is %s, want %q in the exec form (there is no shell)", what, got, want)
	}
}

func TestImageHoldsTheBinaryAndCertificatesOnly(t *testing.T) {
	all := stages(t)
	image := all[len(all)-1]
	if from := find(image, "FROM"); from[0] != "scratch" {
		t.Errorf("the image is made FROM %s, want scratch", from[0])
	}
	if runs := find(image, "RUN"); len(runs) > 0 {
		t.Errorf("the image RUNs %v, and scratch has nothing to run", runs)
	}
	want := []string{
		"--from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt",
		"--from=build /out/keyshield /keyshield",
		"--from=build --chown=65532:65532 /out/data /data",
	}
	if got := find(image, "COPY"); !slices.Equal(got, want) {
		t.Errorf("the image copies %q, want %q: without the certificates OpenAI cannot be recognised", got, want)
	}
	if adds := slices.Concat(find(all[0], "ADD"), find(image, "ADD")); len(adds) > 0 {
		t.Errorf("ADD %v: it fetches and unpacks; use COPY", adds)
	}
}

func TestBuilderIsPinnedToTheGoOfThisModule(t *testing.T) {
	from := find(stages(t)[0], "FROM")[0]
	m := regexp.MustCompile(`^golang:(\d+\.\d+)\.\d+ AS build$`).FindStringSubmatch(from)
	if m == nil {
		t.Fatalf("FROM %s: want golang:<exact version> AS build", from)
	}
	goLine := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(read(t, "../go.mod"))
	if m[1] != goLine[1] {
		t.Errorf("the builder has Go %s, go.mod says %s", m[1], goLine[1])
	}
}

func TestBuilderCopiesOnlyWhatIsLetIn(t *testing.T) {
	for _, args := range find(stages(t)[0], "COPY") {
		words := strings.Fields(args)
		for _, source := range words[:len(words)-1] {
			if !slices.Contains(letIn, source) {
				t.Errorf("COPY %s: %q is not one of %v", args, source, letIn)
			}
		}
	}
}

// ignoreRules are the lines of Dockerfile.dockerignore, in order.
func ignoreRules(t *testing.T) (rules []string) {
	t.Helper()
	lines := bufio.NewScanner(strings.NewReader(read(t, "Dockerfile.dockerignore")))
	for lines.Scan() {
		if line := strings.TrimSpace(lines.Text()); line != "" && line[0] != '#' {
			rules = append(rules, line)
		}
	}
	return rules
}

// ignored says whether the builder must not see name: the last rule that
// matches it, or one of the folders above it, decides.
func ignored(rules []string, name string) bool {
	out := false
	for _, rule := range rules {
		pattern, negated := strings.CutPrefix(rule, "!")
		anywhere, deep := strings.CutPrefix(pattern, "**/")
		for at := name; at != "."; at = path.Dir(at) {
			subject := at
			if deep {
				pattern, subject = anywhere, path.Base(at)
			}
			if hit, _ := path.Match(pattern, subject); hit {
				out = !negated
				break
			}
		}
	}
	return out
}

func TestContextLetsInAListAndNothingElse(t *testing.T) {
	rules := ignoreRules(t)
	if len(rules) == 0 || rules[0] != "*" {
		t.Fatal("Dockerfile.dockerignore must begin with *: a list of what to keep out always forgets something")
	}
	var got []string
	for _, rule := range rules {
		if name, ok := strings.CutPrefix(rule, "!"); ok {
			got = append(got, name)
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, letIn) {
		t.Errorf("let in: %v, want %v", got, letIn)
	}
	for name, want := range map[string]bool{
		".env": true, "cmd/.env": true, "internal/server/.env.local": true, ".git/config": true,
		"secrets/openai_api_key": true, "data/ledger.db": true, "deploy/.env": true, "internal/tls.pem": true,
		"internal/sim/testdata/key": true, "go.mod": false, "cmd/keyshield/main.go": false, "api/openapi.yaml": false,
	} {
		if got := ignored(rules, name); got != want {
			t.Errorf("%s kept out: %v, want %v", name, got, want)
		}
	}
}

// buildImageBinary does what the builder stage does: it runs the Dockerfile's
// own go build on a copy of what the context lets in.
func buildImageBinary(t *testing.T) string {
	t.Helper()
	context, out := t.TempDir(), t.TempDir()
	rules := ignoreRules(t)
	for _, top := range letIn {
		err := fs.WalkDir(os.DirFS(root(t)), top, func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || ignored(rules, name) {
				return err
			}
			content, err := os.ReadFile(filepath.Join(root(t), name))
			if err != nil {
				return err
			}
			target := filepath.Join(context, name)
			if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
				return err
			}
			return os.WriteFile(target, content, 0o644)
		})
		if err != nil {
			t.Fatalf("copy the build context: %v", err)
		}
	}
	runs := find(stages(t)[0], "RUN")
	command := strings.ReplaceAll(runs[len(runs)-1], "/out/", out+"/")
	build := exec.Command("sh", "-c", command)
	build.Dir = context
	if said, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%s on what the context lets in: %v\n%s", command, err, said)
	}
	return filepath.Join(out, "keyshield")
}
