package main

import (
	"bytes"
	"net/http"
	"strconv"
	"time"

	"keyshield/internal/sim"
)

// placeholder is the text of a chunk whose delay is measured. The simulator's
// process replaces it by the time at which it is sent, in nanoseconds since
// 1970: all processes share the machine's clock, so the load generator can tell
// how long any chunk took, however many there are.
const placeholder = "00000000000000000000"

// simPlan is the simulator, with stamps.
type simPlan struct {
	Key       string
	Behaviour sim.Behaviour
}

func (p simPlan) handler() http.Handler {
	s := sim.New(sim.Options{Key: p.Key, Behaviour: p.Behaviour, Record: -1})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.ServeHTTP(stampWriter{w}, r)
	})
}

// stampWriter writes the time into the first placeholder of each write.
type stampWriter struct{ http.ResponseWriter }

// Unwrap is for http.ResponseController.
func (w stampWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w stampWriter) Write(p []byte) (int, error) {
	if i := bytes.Index(p, []byte(placeholder)); i >= 0 {
		p = bytes.Clone(p) // a Writer must not change what it is given
		stamp := strconv.AppendInt(nil, time.Now().UnixNano(), 10)
		copy(p[i+len(placeholder)-len(stamp):], stamp)
	}
	return w.ResponseWriter.Write(p)
}

// stampIn reads the time that stands right after marker.
func stampIn(line, marker []byte) (time.Time, bool) {
	i := bytes.Index(line, marker)
	if i < 0 || len(line) < i+len(marker)+len(placeholder) {
		return time.Time{}, false
	}
	nanos := int64(0)
	for _, digit := range line[i+len(marker):][:len(placeholder)] {
		if digit < '0' || digit > '9' {
			return time.Time{}, false
		}
		nanos = nanos*10 + int64(digit-'0')
	}
	return time.Unix(0, nanos), nanos != 0
}
