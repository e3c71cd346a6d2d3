package config_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"keyshield/internal/config"
)

// warned reports whether a warning about .env holds the words.
func warned(l *config.Loaded, words string) bool {
	return slices.ContainsFunc(l.Warnings, func(w string) bool { return strings.HasPrefix(w, ".env ") && strings.Contains(w, words) })
}

func TestDotEnvThatOthersMayReadIsWarnedOf(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, ".env")
	write(t, path, "PORT=1\n")
	for mode, want := range map[os.FileMode]bool{0o600: false, 0o400: false, 0o640: true, 0o604: true, 0o644: true, 0o620: true} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if got := warned(config.Load(config.Serve, right(), dir), "chmod 600 .env"); got != want {
			t.Errorf("mode %o: warned %v, want %v", mode, got, want)
		}
	}
}

func TestDotEnvInGitIsWarnedOf(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("no git here")
	}
	root := t.TempDir()
	dir := filepath.Join(root, "deploy") // within the repository, not at its root
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	git := func(args ...string) {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "git", append([]string{"-C", dir, "-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"}, args...)...)
		cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + root}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	load := func() *config.Loaded { return config.Load(config.Serve, right("HOME="+root), dir) }

	git("init", "-q", root)
	write(t, filepath.Join(dir, ".env"), "PORT=1\n")
	write(t, filepath.Join(dir, "other"), "x")
	git("add", "other")
	git("commit", "-q", "-m", "other")
	if l := load(); warned(l, "git") {
		t.Errorf("an untracked .env is as it should be: %q", l.Warnings)
	}
	git("add", ".env")
	if !warned(load(), "is tracked by git") {
		t.Error("a tracked .env is not warned of")
	}
	git("commit", "-q", "-m", "oops")
	git("rm", "-q", "--cached", ".env")
	git("commit", "-q", "-m", "removed")
	if l := load(); !warned(l, "was once committed") {
		t.Errorf("the history still has it: %q", l.Warnings)
	}
	if err := os.Remove(filepath.Join(dir, ".env")); err != nil {
		t.Fatal(err)
	}
	if !warned(load(), "was once committed") {
		t.Error("the history has it, whether the file is there or not")
	}
}

func TestNoRepositoryNoGit(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, ".git"), "gitdir: nowhere\n") // broken on purpose
	write(t, filepath.Join(dir, ".env"), "PORT=1\n")
	if l := config.Load(config.Serve, right(), dir); warned(l, "git") || len(l.Problems) > 0 {
		t.Errorf("a repository that git cannot read must not stop the start: %v %+v", l.Warnings, l.Problems)
	}
}
