package source

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// wantKeys reads and compares; "" wants a refusal that names the file and says why.
func wantKeys(t *testing.T, s Source, want, why string) {
	t.Helper()
	keys, err := s.Read(t.Context())
	var got []string
	for _, k := range keys {
		got = append(got, k.Secret.Reveal())
		if k.Source == "" {
			t.Error("a key without its source")
		}
	}
	if strings.Join(got, " ") != want || (err == nil) != (want != "") {
		t.Errorf("read %q, %v; want %q", got, err, want)
	}
	if err != nil && (!strings.Contains(err.Error(), why) || !strings.HasPrefix(err.Error(), s.String()) || strings.Contains(err.Error(), "test-key")) {
		t.Errorf("%v; want %q, beginning with %s", err, why, s)
	}
}

func TestAFileIsReadAgainWhenItHasChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		path := filepath.Join(dir, "key")
		f := File(path)
		wantKeys(t, f, "", "no such file")
		write(t, path, "test-key-0123456789-1\n")
		began := time.Now()
		for range 3 {
			wantKeys(t, f, "test-key-0123456789-1", "")
		}
		if took := time.Since(began); took > 0 {
			t.Errorf("waited %v for a file that rests", took)
		}

		write(t, path, "test-key-0123456789-2\ntest-key-0123456789-1\n")
		wantKeys(t, f, "test-key-0123456789-2 test-key-0123456789-1", "")
		if took := time.Since(began); took != settling {
			t.Errorf("read %v after the change, want %v", took, settling)
		}

		// Another file of the same size and time.
		other := filepath.Join(dir, "other")
		write(t, other, "test-key-0123456789-3\ntest-key-0123456789-1\n")
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(other, info.ModTime(), info.ModTime()); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(other, path); err != nil {
			t.Fatal(err)
		}
		wantKeys(t, f, "test-key-0123456789-3 test-key-0123456789-1", "")
	})
}

// TestASwappedLinkIsAnotherFile: Kubernetes puts secrets so.
func TestASwappedLinkIsAnotherFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		for _, n := range []string{"1", "2"} {
			if err := os.Mkdir(filepath.Join(dir, n), 0o700); err != nil {
				t.Fatal(err)
			}
			write(t, filepath.Join(dir, n, "key"), "test-key-0123456789-"+n)
		}
		swap := func(n string) {
			if err := os.Symlink(n, filepath.Join(dir, "new")); err != nil {
				t.Fatal(err)
			}
			if err := os.Rename(filepath.Join(dir, "new"), filepath.Join(dir, "data")); err != nil {
				t.Fatal(err)
			}
		}
		swap("1")
		if err := os.Symlink(filepath.Join("data", "key"), filepath.Join(dir, "key")); err != nil {
			t.Fatal(err)
		}
		f := File(filepath.Join(dir, "key"))
		wantKeys(t, f, "test-key-0123456789-1", "")
		swap("2")
		wantKeys(t, f, "test-key-0123456789-2", "")
	})
}

// TestAHalfWrittenFileIsNotRead: a writer that empties the file and goes on in steps
// is waited for, and one that never ends is not believed.
func TestAHalfWrittenFileIsNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "key")
		write(t, path, "test-key-0123456789-1")
		f := File(path)
		wantKeys(t, f, "test-key-0123456789-1", "")
		steps := func(texts ...string) {
			for _, text := range texts {
				write(t, path, text)
				time.Sleep(settling * 3 / 4)
			}
		}
		done := make(chan bool)
		go func() {
			steps("", "test-key", "test-key-0123456789-2\ntest-", "test-key-0123456789-2\ntest-key-0123456789-3")
			close(done)
		}()
		time.Sleep(time.Millisecond)
		wantKeys(t, f, "test-key-0123456789-2 test-key-0123456789-3", "")
		<-done

		go func() {
			steps("", "test-key-0123456789-4", "", "test-key-0123456789-44", "", "test-key-0123456789-444", "", "test-key-0123456789-4444")
			done <- true
		}()
		done = make(chan bool)
		time.Sleep(time.Millisecond)
		wantKeys(t, f, "", "changes while it is read")
		<-done
		wantKeys(t, f, "test-key-0123456789-4444", "")
	})
}

func TestSpoiltFilesAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		path := filepath.Join(dir, "key")
		write(t, path, "test-key-0123456789-1")
		f := File(path)
		wantKeys(t, f, "test-key-0123456789-1", "")
		for text, why := range map[string]string{
			"":                        "no key",
			"test-key-0123456789-2 ?": "space",
			strings.Repeat("test-key-0123456789-2\n", 6000): "longer than",
		} {
			write(t, path, text)
			wantKeys(t, f, "", why)
		}
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		wantKeys(t, f, "", "no such file")
		write(t, path, "test-key-0123456789-3")
		wantKeys(t, f, "test-key-0123456789-3", "")

		wantKeys(t, File(dir), "", "no regular file")
		pipe := filepath.Join(dir, "pipe")
		if err := syscall.Mkfifo(pipe, 0o600); err != nil {
			t.Fatal(err)
		}
		wantKeys(t, File(pipe), "", "no regular file") // to open it would hang
	})
}

func TestWhoGivesUpDoesNotWaitForAFile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "key")
		write(t, path, "test-key-0123456789-1")
		f := File(path)
		wantKeys(t, f, "test-key-0123456789-1", "")
		write(t, path, "test-key-0123456789-22")
		ctx, cancel := context.WithTimeout(t.Context(), settling/2)
		defer cancel()
		if keys, err := f.Read(ctx); err == nil {
			t.Errorf("read %d keys before the file had settled", len(keys))
		}
	})
}
