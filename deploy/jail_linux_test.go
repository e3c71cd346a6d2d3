package deploy_test

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// nobody is the user of the image.
const nobody = 65532

// jail is what a container of our image amounts to: a root with nothing in it
// but the binary, mounted read-only, and a user without any right.
type jail struct{ root string }

// enter makes the jail in a mount namespace of the calling thread's own. The
// thread stays locked, and so ends with the test: nobody else sees the mount.
func enter(t *testing.T, binary string) *jail {
	t.Helper()
	if os.Getuid() != 0 {
		skipUnlessRequired(t, "chroot", "only root may make a read-only root and change the user")
	}
	runtime.LockOSThread()
	if err := syscall.Unshare(syscall.CLONE_NEWNS); err != nil {
		skipUnlessRequired(t, "chroot", "no mount namespace of our own: "+err.Error())
	}
	j := &jail{root: t.TempDir()}
	mount := func(source, target, kind string, flags uintptr) {
		t.Helper()
		if err := syscall.Mount(source, target, kind, flags, ""); err != nil {
			t.Fatalf("mount %s: %v", target, err)
		}
	}
	mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE)
	mount("tmpfs", j.root, "tmpfs", syscall.MS_NODEV)
	t.Cleanup(func() { _ = syscall.Unmount(j.root, syscall.MNT_DETACH) }) // or the folder cannot be removed
	content, err := os.ReadFile(binary)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(j.root, "keyshield"), content, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(j.root, 0o755); err != nil {
		t.Fatal(err)
	}
	mount("tmpfs", j.root, "tmpfs", syscall.MS_REMOUNT|syscall.MS_RDONLY|syscall.MS_NODEV)
	if err := os.WriteFile(filepath.Join(j.root, "x"), nil, 0o600); !errors.Is(err, syscall.EROFS) {
		t.Fatalf("writing into the jail gives %v, want a read-only file system", err)
	}
	return j
}

// command is keyshield inside the jail, as nobody.
func (j *jail) command(env []string, command string) *exec.Cmd {
	return &exec.Cmd{
		Path: "/keyshield", // as the jail sees it
		Args: []string{"/keyshield", command},
		Dir:  "/",
		Env:  env,
		SysProcAttr: &syscall.SysProcAttr{
			Chroot:     j.root,
			Credential: &syscall.Credential{Uid: nobody, Gid: nobody},
		},
	}
}

// said collects a process's output while it is running.
type said struct {
	mu    sync.Mutex
	bytes bytes.Buffer
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bytes.Write(p)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bytes.String()
}

// oneAnswer is an upstream that says one word.
func oneAnswer(t *testing.T) string {
	t.Helper()
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"gpt-6-luna",
			"choices":[{"index":0,"message":{"role":"assistant","content":"pong"},"finish_reason":"stop"}],
			"usage":{"prompt_tokens":9,"completion_tokens":1,"total_tokens":10}}`)
	}))
	t.Cleanup(upstream.Close)
	return upstream.URL + "/v1"
}

// TestImageServesFromAnEmptyReadOnlyRootAsNobody runs the image's life: build,
// start, health check, a question with its answer, SIGTERM, exit 0.
func TestImageServesFromAnEmptyReadOnlyRootAsNobody(t *testing.T) {
	j := enter(t, buildImageBinary(t))
	port, secret := freePort(t), rand.Text()+rand.Text()
	env := []string{
		fmt.Sprintf("PORT=%d", port), "TRUSTED_PROXY=none", "ALLOWED_ORIGINS=none",
		"OPENAI_API_KEY=test-key-of-the-jail", "OPENAI_BASE_URL=" + oneAnswer(t), "JWT_SECRET=" + secret,
	}
	// The image sets no HOST, so the health check has to find the server
	// without one, and without an /etc/hosts that knows localhost.
	var out said
	healthy := func() bool {
		said, err := j.command(env, "healthcheck").CombinedOutput()
		if err != nil && len(said) > 0 {
			_, _ = out.Write(said)
		}
		return err == nil
	}
	serve := j.command(append(env, "HOST=127.0.0.1"), "serve")
	serve.Stdout, serve.Stderr = &out, &out
	if err := serve.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- serve.Wait() }()
	t.Cleanup(func() {
		_ = serve.Process.Kill()
		if t.Failed() {
			t.Logf("serve said:\n%s", out.String())
		}
	})

	waitFor(t, "healthcheck to exit 0", func() bool { return len(ended) > 0 || healthy() })
	site := fmt.Sprintf("http://127.0.0.1:%d", port)
	if status, body := ask(t, http.MethodGet, site+"/livez", "", ""); status != http.StatusOK {
		t.Errorf("/livez: %d %s", status, body)
	}
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"sub": "ana", "exp": time.Now().Add(time.Minute).Unix(),
	}).SignedString([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	status, body := ask(t, http.MethodPost, site+"/api/ai/chat", token, `{"message":"ping"}`)
	var answer struct{ Text string }
	if err := json.Unmarshal(body, &answer); status != http.StatusOK || err != nil || answer.Text != "pong" {
		t.Errorf("the question was answered with %d %s, want 200 and pong", status, body)
	}

	if err := serve.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("serve ended with %v after SIGTERM, want exit 0", err)
		}
	case <-time.After(grace(t) + 3*time.Second):
		t.Error("serve is still there after its grace: the platform would kill it")
	}
	if healthy() {
		t.Error("healthcheck says healthy after serve has ended")
	}
}

func ask(t *testing.T, method, where, token, body string) (int, []byte) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, where, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header.Set("Content-Type", "application/json")
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	said, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, said
}
