package source

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"keyshield/internal/upstream"
)

// TestAKeyInAFileIsRotatedWithoutARestart, from the file to OpenAI: a wrong key, an
// emptied file and a lost one change nothing, the right key takes over.
func TestAKeyInAFileIsRotatedWithoutARestart(t *testing.T) {
	openai := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if key := r.Header.Get("Authorization"); key != "Bearer test-key-0123456789-1" && key != "Bearer test-key-0123456789-2" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		io.WriteString(w, `{"data":[]}`)
	}))
	defer openai.Close()
	path := filepath.Join(t.TempDir(), "key")
	write(t, path, "test-key-0123456789-1\n")
	f := File(path)
	keys, err := f.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var told []upstream.KeyEventKind
	client, err := upstream.New(upstream.Config{BaseURL: openai.URL, Keys: keys, Timeout: 5 * time.Second, Tell: func(e upstream.KeyEvent) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, e.Kind)
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	p := NewPoller(f, client, time.Hour)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan bool)
	go func() { p.Run(ctx); close(done) }()
	defer func() { stop(); <-done }()

	until := func(want ...upstream.KeyEventKind) {
		t.Helper()
		deadline, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		for tick := time.NewTicker(5 * time.Millisecond); ; {
			mu.Lock()
			got := slices.Clone(told)
			mu.Unlock()
			if slices.Equal(got, want) {
				return
			}
			select {
			case <-tick.C:
			case <-deadline.Done():
				t.Fatalf("told %v, want %v", got, want)
			}
		}
	}
	write(t, path, "test-key-0123456789-3\n")
	p.Reload()
	until(upstream.SourceFailed)
	write(t, path, "")
	p.Reload()
	until(upstream.SourceFailed, upstream.SourceFailed) // another reason
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if got := client.Keys(); len(got) != 1 || got[0].Fingerprint != upstream.Fingerprint(keys[0].Secret) || got[0].State != upstream.Active || got[0].Source != "file "+path {
		t.Errorf("the keys are %+v", got)
	}
	write(t, path, "test-key-0123456789-2\ntest-key-0123456789-1\n")
	p.Reload()
	until(upstream.SourceFailed, upstream.SourceFailed, upstream.SourceBack, upstream.Rotated)
	got, err := client.Ask(t.Context(), upstream.Question{Body: []byte(`{}`)})
	if err != nil {
		t.Fatal(err)
	}
	got.Close()
}
