package alert

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	gocmp "github.com/google/go-cmp/cmp"

	"keyshield/internal/secret"
)

// FuzzKept: whatever stands in the file, nothing of it passes a bound that Send
// would keep, and what was read is written and read again as it is.
func FuzzKept(f *testing.F) {
	f.Add([]byte(`{"version":1}`))
	f.Add([]byte(`{"version":1,"notices":[{"id":"ABCDEFGHIJKLMNOPQRSTUVWXYZ","since":"2026-11-22T05:00:00Z","to":["slack","webhook","gone"],` +
		`"event":{"kind":"spike","severity":7,"title":"a\nb","text":"x","key":"k","fields":[["a","b"],["",""]],"at":"2026-11-22T05:00:00Z"}}],` +
		`"told":[{"kind":"spike","key":"k","severity":1,"at":"2099-11-22T05:00:00Z","more":-4}],` +
		`"held":{"slack":{"since":"2026-11-22T05:00:00Z","critical":true,"kinds":{"spike":9000000,"x":-1},"lines":[{"severity":-2,"text":"t"}]}}}`))
	f.Add([]byte(`{"version":2}`))
	f.Add([]byte(`{"version":1,"notices":[{"id":"ABCDEFGHIJKLMNOPQRSTUVWXYZ","since":"0000-01-01T00:00:00+23:59","to":["slack","slack"],` +
		`"event":{"at":"9999-12-31T23:59:59-23:59"}},{"id":"ABCDEFGHIJKLMNOPQRSTUVWXYZ","to":["slack"]}],` +
		`"told":[{"at":"9999-12-31T23:59:59-23:59"},{"at":"0000-01-01T00:00:00+23:59"}]}`))
	f.Add([]byte(`{"version":1,"held":{"slack":{"kinds":{"":1,"\u0000":2}}}}`))
	now := time.Date(2026, 11, 22, 6, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, data []byte) {
		first, ok := reread(t, data, now)
		if !ok {
			return
		}
		text, err := json.Marshal(first)
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		second, ok := reread(t, text, now)
		if !ok {
			t.Fatalf("what was written cannot be read: %s", text)
		}
		if diff := gocmp.Diff(first, second); diff != "" {
			t.Errorf("read again it is another (-first +second):\n%s", diff)
		}
	})
}

func reread(t *testing.T, data []byte, now time.Time) (kept, bool) {
	k, err := decode(data)
	if err != nil {
		return kept{}, false
	}
	a, err := prepare(Options{
		Slack:   secret.New("https://hooks.example.com/services/test"),
		Webhook: "https://example.com/hook", WebhookSecret: secret.New(strings.Repeat("w", minSecret)),
		Now: func() time.Time { return now },
	})
	if err != nil {
		t.Fatal(err)
	}
	a.restore(k, now)
	_, k = a.snapshot()
	for _, n := range k.Notices {
		if utf8.RuneCountInString(n.Event.Title) > maxTitle || utf8.RuneCountInString(n.Event.Text) > maxText || len(n.Event.Fields) > maxFields || n.Since.After(now) {
			t.Errorf("out of bounds: %+v", n)
		}
	}
	if len(k.Notices) > 2*(maxQueue+1) || len(k.Told) > maxTold {
		t.Errorf("%d notices, %d told: more than Send keeps", len(k.Notices), len(k.Told))
	}
	slices.SortFunc(k.Told, func(a, b keptTelling) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Key, b.Key))
	})
	return k, true
}
