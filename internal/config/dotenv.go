package config

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"
)

// gitPatience bounds what a start-up waits for git; a history too long to search
// in that time is not searched.
const gitPatience = 3 * time.Second

// checkDotEnv warns when .env is not as secret as what stands in it.
func (l *Loaded) checkDotEnv(in inputs, dir string) {
	info, err := os.Stat(filepath.Join(dir, ".env"))
	if err == nil && runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		l.warn(".env can be read by other users of this machine. Run: chmod 600 .env")
	}
	switch {
	case !inRepository(dir):
	case git(in.shell, dir, "ls-files", "--", ".env"):
		l.warn(".env is tracked by git: everyone with the repository has your secrets. Run: git rm --cached .env; then make new secrets, for the history keeps these.")
	case git(in.shell, dir, "log", "--all", "--max-count=1", "--format=%H", "--", ".env"):
		l.warn(".env was once committed to git, and the history keeps it: secrets that stood in it must be replaced by new ones.")
	}
}

// inRepository spares starting git where there is none.
func inRepository(dir string) bool {
	dir, err := filepath.Abs(dir)
	for err == nil {
		if _, err := os.Stat(filepath.Join(dir, ".git")); err == nil {
			return true
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			break
		}
		dir = parent
	}
	return false
}

// git reports whether a command of git says anything. No git, a broken
// repository and a slow one say nothing.
func git(shell map[string]string, dir string, args ...string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), gitPatience)
	defer cancel()
	// The repository's own settings must start no program: not as this user.
	args = append([]string{"-C", dir, "--no-pager", "-c", "core.fsmonitor=false", "-c", "log.showSignature=false"}, args...)
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Env = []string{"PATH=" + shell["PATH"], "HOME=" + shell["HOME"], "LC_ALL=C"} // no secret of ours
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	return err == nil && len(out) > 0
}
