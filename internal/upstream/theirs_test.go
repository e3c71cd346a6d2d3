package upstream

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"keyshield/internal/apierr"
)

// TestWhoWroteTheRequestLearnsWhyItWasRefused: of a request that we built, only we
// do. Of OpenAI's own words nobody does.
func TestWhoWroteTheRequestLearnsWhyItWasRefused(t *testing.T) {
	spoken := `{"error":{"message":"the secret sentence","type":"invalid_request_error","param":"messages[0].name","code":"bad_name"}}`
	for _, tt := range []struct {
		status, ours, theirs int
		body                 string
	}{
		{400, 502, 400, spoken}, {404, 502, 404, spoken}, {422, 502, 422, spoken},
		{400, 502, 502, "<html>"}, {401, 502, 502, spoken}, {403, 502, 502, spoken}, {409, 502, 502, spoken}, {500, 502, 502, spoken},
	} {
		for _, theirs := range []bool{false, true} {
			t.Run(fmt.Sprint(tt.status, tt.body[:1], theirs), func(t *testing.T) {
				t.Parallel()
				c := provider(t, func(w http.ResponseWriter, _ *http.Request) {
					w.WriteHeader(tt.status)
					io.WriteString(w, tt.body)
				})
				_, err := c.Ask(t.Context(), Question{Body: []byte(`{}`), Theirs: theirs})
				e, ok := errors.AsType[*apierr.Error](err)
				want := tt.ours
				if theirs {
					want = tt.theirs
				}
				if !ok || e.Status != want {
					t.Fatalf("%v, want status %d", err, want)
				}
				passed := want == tt.status && theirs
				if got := e.Code == "bad_name" && e.Param == "messages[0].name"; got != passed {
					t.Errorf("code %q, param %q passed on = %t, want %t", e.Code, e.Param, got, passed)
				}
				if passed && e.Message != `The AI provider did not accept the request: see "messages[0].name" (bad_name).` {
					t.Errorf("message %q", e.Message)
				}
			})
		}
	}
}

// TestWhatOpenAIWillRefuseAgainIsFinal: SDKs try again after a 502 by themselves.
func TestWhatOpenAIWillRefuseAgainIsFinal(t *testing.T) {
	for status, want := range map[int]bool{401: false, 403: true, 409: false, 413: true, 500: false, 502: false, 503: false} {
		for _, body := range []string{`{"error":{"message":"m","type":"t","param":null,"code":"c"}}`, "<html>"} {
			for _, theirs := range []bool{false, true} {
				c := provider(t, func(w http.ResponseWriter, _ *http.Request) {
					w.WriteHeader(status)
					io.WriteString(w, body)
				})
				_, err := c.Ask(t.Context(), Question{Body: []byte(`{}`), Theirs: theirs})
				if e, ok := errors.AsType[*apierr.Error](err); !ok || e.Status != 502 || e.Final != want {
					t.Errorf("%d %.6s, the client's own = %t: %+v, want a 502 that is final: %t", status, body, theirs, e, want)
				}
			}
		}
	}
}

// TestAWholeAnswerOfTheirsMayTakeAllTheTime: it begins when it is complete.
func TestAWholeAnswerOfTheirsMayTakeAllTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &Client{cfg: Config{Timeout: time.Minute}}
		for _, tt := range []struct {
			q    Question
			want time.Duration
		}{
			{Question{}, 30 * time.Second},
			{Question{Stream: true}, 30 * time.Second},
			{Question{Theirs: true, Stream: true}, 30 * time.Second},
			{Question{Theirs: true}, time.Minute},
		} {
			began := time.Now()
			k := c.begin(t.Context(), tt.q)
			<-k.ctx.Done()
			err := k.failed(k.ctx.Err())
			if long := tt.q.Theirs && !tt.q.Stream; errors.Is(err, ErrTooMuch) != long {
				t.Errorf("%+v: %v may be the client's doing = %t, want %t", tt.q, err, !long, long)
			}
			if got := time.Since(began); got != tt.want {
				t.Errorf("%+v is given up after %v, want %v", tt.q, got, tt.want)
			}
			k.end()
		}
	})
}

func TestEachEndpointHasItsPath(t *testing.T) {
	var asked string
	c := provider(t, func(w http.ResponseWriter, r *http.Request) { asked = r.URL.Path; io.WriteString(w, "{}") })
	for to, want := range map[Endpoint]string{
		Chat: "/v1/chat/completions", Responses: "/v1/responses", Embeddings: "/v1/embeddings", Moderations: "/v1/moderations",
	} {
		got, err := c.Ask(t.Context(), Question{To: to, Body: []byte(`{}`)})
		if err != nil {
			t.Fatal(err)
		}
		got.ReadAll(nil)
		got.Close()
		if asked != want {
			t.Errorf("endpoint %d asks %s, want %s", to, asked, want)
		}
	}
}
