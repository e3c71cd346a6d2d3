package disk_test

import (
	"os"
	"path/filepath"
	"testing"

	"keyshield/internal/disk"
)

func TestAFileIsReplacedWhole(t *testing.T) {
	dir := t.TempDir()
	path, elsewhere := filepath.Join(dir, "f"), filepath.Join(dir, "elsewhere")
	if err := os.WriteFile(elsewhere, []byte("theirs"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, content := range []string{"one", "", "three"} {
		if err := os.Symlink(elsewhere, path+".new"); err != nil { // laid by somebody else
			t.Fatal(err)
		}
		if err := disk.Replace(path, []byte(content)); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != content {
			t.Errorf("%q, %v; want %q", got, err, content)
		}
	}
	if theirs, err := os.ReadFile(elsewhere); err != nil || string(theirs) != "theirs" {
		t.Errorf("the link was followed: %q, %v", theirs, err)
	}
	info, err := os.Lstat(path)
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v; want a file that only we can read", info.Mode(), err)
	}
	if left, err := filepath.Glob(path + ".*"); err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}

func TestTheOldFileStaysWhereTheNewOneCannotBe(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	if err := disk.Replace(path, []byte("old")); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(path+".new", "in the way"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := disk.Replace(path, []byte("new")); err == nil {
		t.Error("no error")
	}
	if got, err := os.ReadFile(path); err != nil || string(got) != "old" {
		t.Errorf("%q, %v", got, err)
	}
	if err := disk.Replace(filepath.Join(dir, "none", "f"), nil); err == nil {
		t.Error("a folder that is not there: no error")
	}
}
