package server

import (
	"bufio"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"keyshield/internal/policy"
	"keyshield/internal/upstream"
	"keyshield/internal/wire"
)

// readSlowly is how much of a document of this size comes to a client who reads a
// piece every so often, and for how long. The client's connection keeps nothing that
// was not read.
func readSlowly(t *testing.T, size int, every time.Duration) (read int, took time.Duration, err error) {
	t.Helper()
	pipes := newPipes()
	gave := make(chan error, 1)
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		err := give(&response{ResponseWriter: w, control: connectionOf(w)}, make([]byte, size))
		gave <- err
		if err != nil {
			panic(http.ErrAbortHandler)
		}
	})}
	go srv.Serve(pipes)
	conn, dialled := pipes.dial(t.Context(), "", "")
	if dialled != nil {
		t.Fatal(dialled)
	}
	defer func() {
		conn.Close()
		srv.Close()
		synctest.Wait()
	}()
	go io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	resp, answered := http.ReadResponse(bufio.NewReader(conn), nil)
	if answered != nil {
		t.Fatal(answered)
	}
	began := time.Now()
	for {
		n, ended := io.CopyN(io.Discard, resp.Body, keepable)
		if read += int(n); ended != nil {
			return read, time.Since(began), <-gave
		}
		time.Sleep(every)
	}
}

// TestALargeAnswerHasALeastRate, for as long as it is read it has room that others
// wait for; who reads a usual one may take as long as they do not stall.
func TestALargeAnswerHasALeastRate(t *testing.T) {
	const large = 2 * upstream.UsualAnswer
	within := writeTimeout + large/leastRate*time.Second
	for what, c := range map[string]struct {
		size  int
		every time.Duration // a piece is read
		whole bool
	}{
		"usual, slowly":   {upstream.UsualAnswer, writeTimeout - 5*time.Second, true},
		"usual, stalling": {upstream.UsualAnswer, 2 * writeTimeout, false},
		"large, in time":  {large, within * keepable / large * 9 / 10, true},
		"large, slowly":   {large, within * keepable / large * 11 / 10, false},
		"large, stalling": {large, time.Hour, false},
	} {
		synctest.Test(t, func(t *testing.T) {
			read, took, err := readSlowly(t, c.size, c.every)
			if whole := read == c.size && err == nil; whole != c.whole {
				t.Errorf("%s: %d of %d bytes in %v, %v; want all of it: %t", what, read, c.size, took, err, c.whole)
			}
		})
	}
}

// TestOnlyWhatMayBeLargeTakesRoom: there is room for few, so that what is small as a
// rule must do without.
func TestOnlyWhatMayBeLargeTakesRoom(t *testing.T) {
	const usual = 2048 // tokens, unless MAX_OUTPUT_TOKENS_V1 says more
	for _, c := range []struct {
		asked wire.Asked
		large bool
	}{
		{wire.Asked{}, false},
		{wire.Asked{LogProbs: true}, false},
		{wire.Asked{LogProbs: true, TopLogProbs: 2}, false},
		{wire.Asked{LogProbs: true, TopLogProbs: 20}, true},
	} {
		if most := mostWords(policy.Chat, &question{limit: usual}, c.asked); most > upstream.UsualAnswer != c.large {
			t.Errorf("%+v: %d bytes, of which %d need no room", c.asked, most, upstream.UsualAnswer)
		}
	}
}
