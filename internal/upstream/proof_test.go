package upstream

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"
)

func TestOnlyProofOfNothingIsUnbilled(t *testing.T) {
	spoken := `{"error":{"message":"m","type":"t","param":null,"code":"c"}}`
	for _, tt := range []struct {
		status int
		body   string
		want   bool
	}{
		{400, spoken, true}, {401, spoken, true}, {404, spoken, true}, {429, spoken, true}, {503, spoken, true},
		{400, "<html>", false}, {429, "<html>", false}, {503, "<html>", false},
		{500, spoken, false}, {502, spoken, false}, {504, spoken, false}, {520, spoken, false}, {302, spoken, false},
	} {
		t.Run(fmt.Sprint(tt.status, tt.body), func(t *testing.T) {
			t.Parallel()
			c := provider(t, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(tt.status)
				io.WriteString(w, tt.body)
			})
			_, err := c.Ask(t.Context(), Question{Body: []byte(`{}`)})
			if err == nil || Unbilled(err) != tt.want {
				t.Errorf("Unbilled(%v) = %t, want %t", err, Unbilled(err), tt.want)
			}
		})
	}
}

// TestWhoLeavesIsUnbilledOnlyBeforeTheCall: bytes may be on their way by then.
func TestWhoLeavesIsUnbilledOnlyBeforeTheCall(t *testing.T) {
	arrived := make(chan struct{})
	c := provider(t, func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		close(arrived)
		<-r.Context().Done()
	})
	ctx, leave := context.WithCancel(t.Context())
	go func() { <-arrived; leave() }()
	if _, err := c.Ask(ctx, Question{Body: []byte(`{}`), Stream: true}); Unbilled(err) || !errors.Is(err, context.Canceled) {
		t.Errorf("left in the middle: Unbilled(%v) = true", err)
	}
	ctx, leave = context.WithCancel(t.Context())
	leave()
	if _, err := client(t, "http://127.0.0.1:1/v1").Ask(ctx, Question{Body: []byte(`{}`), Stream: true}); !Unbilled(err) || !errors.Is(err, context.Canceled) {
		t.Errorf("left before anything was sent: Unbilled(%v) = false", err)
	}
}
