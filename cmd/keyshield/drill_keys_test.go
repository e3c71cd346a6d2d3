package main

import (
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"keyshield/internal/upstream"
)

// newKey is one that no server has seen yet, and that must not be seen anywhere.
func (d *drill) newKey() string {
	key := "test-key-" + rand.Text() + rand.Text()
	d.secret = append(d.secret, key)
	return key
}

// load asks in all forms until stop, which says how it ended. The users are so many
// that none of them is conspicuous.
func (d *drill) load(workers int, prompt string) (stop func() map[string]int) {
	counts := map[string]int{}
	var mu sync.Mutex
	var all sync.WaitGroup
	end := make(chan struct{})
	forms := drillForms()
	for w := range workers {
		c := d.caller(fmt.Sprint("load-", w), w)
		all.Go(func() {
			for n := w; ; n++ {
				said := d.ask(c, forms[n%len(forms)], prompt)
				mu.Lock()
				counts[said]++
				mu.Unlock()
				select {
				case <-end:
					return
				default:
				}
			}
		})
	}
	return func() map[string]int { close(end); all.Wait(); return counts }
}

// allGood wants every request of a load answered, for what OpenAI bills and no more.
func (d *drill) allGood(counts map[string]int, atLeast int) {
	d.t.Helper()
	if counts["ok"] < atLeast || len(counts) != 1 {
		d.t.Errorf("of the requests came %v; want %d and more, all of them answered", counts, atLeast)
	}
	if o := d.rested(); o.Day.Used != d.bill() || o.Day.Unproven != 0 || o.Breaker != "closed" {
		d.t.Errorf("charged %v (%d without proof), billed %v, the breaker is %s; want the bill exactly", o.Day.Used, o.Day.Unproven, d.bill(), o.Breaker)
	}
}

// TestDrillRevokedKey: a key is revoked under load, and the next one takes over before
// any request fails.
func TestDrillRevokedKey(t *testing.T) {
	t.Parallel()
	next := "test-key-" + rand.Text() + rand.Text()
	d := openDrillOf(t, []string{next}, "BREAKER", "OPENAI_API_KEYS="+next)

	stop := d.load(40, "[[sim chunks=4 pace=30ms latency=50ms]] hello")
	d.answered(60)
	d.sim.Accept(next)
	d.told.wait("key_rejected", 1)
	d.answered(d.sim.Report().Completed + 100)
	d.allGood(stop(), 160)

	list := d.ok("keys")
	for _, want := range []string{upstream.Fingerprint(secretOf(canary)), upstream.Quarantined, upstream.Fingerprint(secretOf(next)), upstream.Active} {
		if !strings.Contains(list, want) {
			t.Errorf("keyshield keys does not say %q:\n%s", want, list)
		}
	}
	if acts := d.acts("key_rejected"); len(acts) != 1 || acts[0].Target != "key:"+upstream.Fingerprint(secretOf(canary)) {
		t.Errorf("the audit log has %+v", acts)
	}
	d.over(map[string]int{"key_rejected": 1})
}

// TestDrillOnlyKeyRevoked: without another key there are clear refusals that cost
// nothing, and a new one is taken up by itself.
func TestDrillOnlyKeyRevoked(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "key")
	replaceFile(t, file, canary)
	d := openDrill(t, "BREAKER", "OPENAI_API_KEY", "OPENAI_API_KEY_FILE="+file)
	ask := func(f drillForm) string { return d.ask(d.caller("ana", 1), f, "hello") }
	for _, f := range drillForms() {
		if said := ask(f); said != "ok" {
			t.Errorf("before, %s came to %q", f.name, said)
		}
	}
	before := d.rested()

	d.sim.Accept("somebody-elses-key")
	for range 2 {
		for _, f := range drillForms() {
			if said := ask(f); said != "502 upstream_error" {
				t.Errorf("without a key %s came to %q, want 502 upstream_error", f.name, said)
			}
		}
		d.told.wait("no_key_left", 1)
	}
	if got := d.get("/livez"); got.status != 200 {
		t.Errorf("livez: %d: a restart would not help", got.status)
	}
	after := d.rested()
	if after.Day.Used != before.Day.Used || after.Day.Unproven != 0 || after.Day.Used != d.bill() || after.Breaker != "closed" {
		t.Errorf("refused calls cost: %v before, %v after, %v billed, the breaker is %s", before.Day.Used, after.Day.Used, d.bill(), after.Breaker)
	}
	if len(after.Degraded) == 0 {
		t.Error("the overview does not say what is wrong")
	}

	fresh := d.newKey()
	d.sim.Accept(fresh)
	replaceFile(t, file, fresh)
	if !eventually(t, 20*time.Second, func() bool { return ask(drillForms()[0]) == "ok" }) {
		t.Errorf("with a new key in the file: %q", ask(drillForms()[0]))
	}
	if said := ask(drillForms()[2]); said != "ok" {
		t.Errorf("a stream comes to %q", said)
	}

	// It is refused, too, and then it was a mistake: the file is written anew.
	d.sim.Accept("somebody-elses-key")
	if said := ask(drillForms()[0]); said != "502 upstream_error" {
		t.Errorf("without a key once more: %q", said)
	}
	d.told.wait("no_key_left", 2)
	d.sim.Accept(fresh)
	replaceFile(t, file, fresh+"\n"+d.newKey())
	if _, err := d.desk.ReloadKeys(t.Context()); err != nil {
		t.Error(err)
	}
	if said := ask(drillForms()[0]); said != "ok" {
		t.Errorf("with a key that OpenAI takes again: %q", said)
	}
	d.over(map[string]int{"key_rejected": 3, "no_key_left": 2, "key_rotated": 2, "key_recovered": 1})
}

// replaceFile writes a file anew, at once, as tools do that know how.
func replaceFile(t *testing.T, path, text string) {
	t.Helper()
	fresh := path + ".fresh"
	if err := os.WriteFile(fresh, []byte(text+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(fresh, path); err != nil {
		t.Fatal(err)
	}
}

const rotations = 10

// TestDrillRotations: two hundred requests at once, and meanwhile ten new keys come, from
// a file and from a vault. No request fails.
func TestDrillRotations(t *testing.T) {
	if testing.Short() {
		t.Skip("a file that changes is not read before it has rested for a second, ten times")
	}
	t.Parallel()
	t.Run("file", func(t *testing.T) {
		t.Parallel()
		file := filepath.Join(t.TempDir(), "key")
		replaceFile(t, file, canary)
		d := openDrill(t, "BREAKER", "OPENAI_API_KEY", "OPENAI_API_KEY_FILE="+file)
		// The key before is revoked when the next one comes: no call may meet that.
		d.rotate(func(key string) { replaceFile(t, file, key) }, func(string) {})
		if refused := d.sim.Report().Refused; refused != 0 {
			t.Errorf("%d calls left under a key that was revoked a second before", refused)
		}
		d.over(map[string]int{"key_rotated": rotations})
	})
	t.Run("vault", func(t *testing.T) {
		t.Parallel()
		vault := openVault(t, canary)
		d := openDrill(t, vault.settings()...)
		// The key before is revoked in the same moment: calls under way meet it.
		d.rotate(vault.holds, func(now string) { d.sim.Accept(now) })
		d.over(map[string]int{"key_rotated": rotations})
	})
}

// rotate changes the key ten times under load.
func (d *drill) rotate(put func(key string), revoke func(now string)) {
	d.t.Helper()
	stop := d.load(200, "[[sim chunks=10 pace=120ms latency=800ms]] hello")
	before := canary
	for range rotations {
		calls := d.sim.Report().Completed
		d.answered(calls + 20)
		now := d.newKey()
		d.sim.Accept(before, now)
		put(now)
		list, err := d.desk.ReloadKeys(d.t.Context())
		if err != nil {
			d.t.Fatal(err)
		}
		if len(list.Keys) != 1 || list.Keys[0].State != upstream.Active || list.Keys[0].Fingerprint != upstream.Fingerprint(secretOf(now)) {
			d.t.Errorf("after a rotation the keys are %+v", list.Keys)
		}
		revoke(now)
		tag := rand.Text()
		if said := d.ask(d.caller("probe", 230), drillForms()[0], tag); said != "ok" || d.keyOf(tag) != now {
			d.t.Errorf("after a rotation a request comes to %q, and leaves under the new key: %v", said, d.keyOf(tag) == now)
		}
		before = now
	}
	d.allGood(stop(), rotations*20)
}

// keyOf is the key under which a prompt arrived last.
func (d *drill) keyOf(prompt string) (key string) {
	for _, q := range d.sim.Requests() {
		if strings.Contains(q.Body, prompt) {
			key = strings.TrimPrefix(q.Header.Get("Authorization"), "Bearer ")
		}
	}
	return key
}
