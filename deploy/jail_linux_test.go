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
	"golang.org/x/sys/unix"
)

// nobody is the user of the image.
const nobody = 65532

// jail is what a container of our image amounts to: a root with nothing in it
// but the binary, mounted read-only, memory where the volume belongs, and a user
// without any right.
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
	// As every container engine does; serve asks it what outlives the container.
	within := func(name string) string {
		t.Helper()
		path := filepath.Join(j.root, name)
		if err := os.Mkdir(path, 0o755); err != nil {
			t.Fatal(err)
		}
		return path
	}
	mount("/proc", within("proc"), "", syscall.MS_BIND|syscall.MS_REC)
	data := within(imageEnv(t)["DATA_DIR"])
	mount("tmpfs", data, "tmpfs", syscall.MS_NODEV)
	own(t, data)
	mount("tmpfs", j.root, "tmpfs", syscall.MS_REMOUNT|syscall.MS_RDONLY|syscall.MS_NODEV)
	if err := os.WriteFile(filepath.Join(j.root, "x"), nil, 0o600); !errors.Is(err, syscall.EROFS) {
		t.Fatalf("writing into the jail gives %v, want a read-only file system", err)
	}
	return j
}

func own(t *testing.T, dir string) {
	t.Helper()
	if err := os.Chown(dir, nobody, nobody); err != nil {
		t.Fatal(err)
	}
}

// volume mounts a folder of this machine's disk, and returns what else serve must
// be told. A machine whose own disk is a container's has none that lasts: there
// the operator's word stands in for it.
func (j *jail) volume(t *testing.T, dir string) (env []string) {
	t.Helper()
	disk := t.TempDir()
	own(t, disk)
	at := filepath.Join(j.root, dir)
	if err := syscall.Mount(disk, at, "", syscall.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(at, syscall.MNT_DETACH) })
	var kind unix.Statfs_t
	if err := unix.Statfs(disk, &kind); err != nil {
		t.Fatal(err)
	}
	if uint32(kind.Type) == unix.OVERLAYFS_SUPER_MAGIC || uint32(kind.Type) == unix.TMPFS_MAGIC {
		t.Logf("%s is not on a disk that lasts: accepted in so many words", disk)
		return []string{"LEDGER_EPHEMERAL=accept"}
	}
	return nil
}

// command is keyshield inside the jail, as nobody.
func (j *jail) command(env []string, args ...string) *exec.Cmd {
	return &exec.Cmd{
		Path: "/keyshield", // as the jail sees it
		Args: append([]string{"/keyshield"}, args...),
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

// served is keyshield serve in the jail.
type served struct {
	*jail
	site string
	env  []string
	out  said
	cmd  *exec.Cmd
	end  chan error
}

// serve starts it and waits until its own health check is content.
func (j *jail) serve(t *testing.T, env []string) *served {
	t.Helper()
	port := freePort(t)
	// The image sets no HOST, so the health check has to find the server
	// without one, and without an /etc/hosts that knows localhost.
	s := &served{jail: j, site: fmt.Sprintf("http://127.0.0.1:%d", port), env: append(env, fmt.Sprintf("PORT=%d", port)), end: make(chan error, 1)}
	s.cmd = j.command(append(s.env, "HOST=127.0.0.1"), "serve")
	s.cmd.Stdout, s.cmd.Stderr = &s.out, &s.out
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { s.end <- s.cmd.Wait() }()
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill()
		if t.Failed() {
			t.Logf("serve said:\n%s", s.out.String())
		}
	})
	waitFor(t, "healthcheck to exit 0", func() bool { return len(s.end) > 0 || s.healthy() })
	return s
}

func (s *served) healthy() bool {
	said, err := s.command(s.env, "healthcheck").CombinedOutput()
	if err != nil && len(said) > 0 {
		_, _ = s.out.Write(said)
	}
	return err == nil
}

// stop is what a platform does.
func (s *served) stop(t *testing.T) {
	t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-s.end:
		if err != nil {
			t.Errorf("serve ended with %v after SIGTERM, want exit 0", err)
		}
	case <-time.After(grace(t) + 3*time.Second):
		t.Error("serve is still there after its grace: the platform would kill it")
	}
	if s.healthy() {
		t.Error("healthcheck says healthy after serve has ended")
	}
}

// spent is what keyshield usage says of this month, beside the running server.
func (s *served) spent(t *testing.T) (account struct {
	Requests int64 `json:"requests"`
	Used     int64 `json:"used_nanousd"`
}) {
	t.Helper()
	text, err := s.command(s.env, "usage", "--json").Output()
	var report struct{ Month json.RawMessage }
	if err != nil || json.Unmarshal(text, &report) != nil || json.Unmarshal(report.Month, &account) != nil {
		t.Fatalf("keyshield usage --json: %v\n%s", err, text)
	}
	return account
}

// TestImageServesFromAnEmptyReadOnlyRootAsNobody runs the image's life: build, a
// start that is refused without a volume, a start with one, health check, a
// question with its answer, SIGTERM, exit 0; and a next container on the same
// volume, which knows what was spent.
func TestImageServesFromAnEmptyReadOnlyRootAsNobody(t *testing.T) {
	j := enter(t, buildImageBinary(t))
	secret := rand.Text() + rand.Text()
	env := []string{
		"TRUSTED_PROXY=none", "ALLOWED_ORIGINS=none",
		"OPENAI_API_KEY=test-key-of-the-jail-1", "OPENAI_BASE_URL=" + oneAnswer(t), "JWT_SECRET=" + secret,
	}
	for name, value := range imageEnv(t) {
		env = append(env, name+"="+value)
	}
	dir := imageEnv(t)["DATA_DIR"]

	refusal, err := j.command(env, "serve").CombinedOutput()
	if err == nil || !bytes.Contains(refusal, []byte("docker run -v")) || !bytes.Contains(refusal, []byte("LEDGER_EPHEMERAL=accept")) {
		t.Fatalf("without a volume serve ended with %v, want a refusal with the ways out:\n%s", err, refusal)
	}
	env = append(env, j.volume(t, dir)...)

	first := j.serve(t, env)
	if status, body := ask(t, http.MethodGet, first.site+"/livez", "", ""); status != http.StatusOK {
		t.Errorf("/livez: %d %s", status, body)
	}
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"sub": "ana", "exp": time.Now().Add(time.Minute).Unix(),
	}).SignedString([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	status, body := ask(t, http.MethodPost, first.site+"/api/ai/chat", token, `{"message":"ping"}`)
	var answer struct{ Text string }
	if err := json.Unmarshal(body, &answer); status != http.StatusOK || err != nil || answer.Text != "pong" {
		t.Errorf("the question was answered with %d %s, want 200 and pong", status, body)
	}
	first.stop(t)

	second := j.serve(t, env)
	if month := second.spent(t); month.Requests != 1 || month.Used <= 0 {
		t.Errorf("after a redeploy the month has %d requests and %d nano-dollars, want the one that was made before", month.Requests, month.Used)
	}
	second.stop(t)
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
