package sim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// control serves what stands under /_sim/.
func (s *Sim) control(w http.ResponseWriter, r *http.Request, name string) {
	switch r.Method + " " + name {
	case "POST behaviour":
		s.setBehaviour(w, r)
	case "GET behaviour":
		s.showBehaviour(w)
	case "GET report":
		s.showReport(w, r)
	case "GET requests":
		show(w, http.StatusOK, s.Requests())
	case "POST keys":
		s.setKeys(w, r)
	case "POST costs":
		s.addSpent(w, r)
	case "POST reset":
		s.reset()
		s.showBehaviour(w)
	default:
		complain(w, http.StatusNotFound, errors.New("there are POST and GET behaviour, GET report, GET requests, POST keys, POST costs, POST reset"))
	}
}

func show(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.MarshalWrite(w, v, jsontext.WithIndent("  ")) // it fails only with the connection
}

func complain(w http.ResponseWriter, status int, err error) {
	show(w, status, map[string]string{"error": err.Error()})
}

// setBehaviour replaces the default.
func (s *Sim) setBehaviour(w http.ResponseWriter, r *http.Request) {
	b, err := readBehaviour(http.MaxBytesReader(w, r.Body, 64<<20))
	if err != nil {
		complain(w, http.StatusBadRequest, err)
		return
	}
	s.mu.Lock()
	s.mood = newMood(b)
	s.mu.Unlock()
	s.showBehaviour(w)
}

func (s *Sim) showBehaviour(w http.ResponseWriter) {
	s.mu.Lock()
	m := s.mood
	s.mu.Unlock()
	show(w, http.StatusOK, map[string]any{"behaviour": m.behaviour.String(), "failures_left": m.failures})
}

// reset forgets everything but the calls under way.
func (s *Sim) reset() {
	s.mu.Lock()
	s.mood = newMood(s.options.Behaviour)
	clear(s.failing)
	s.mu.Unlock()
	s.books.clear()
	s.ring.clear()
}

// showReport waits first if it is asked to.
func (s *Sim) showReport(w http.ResponseWriter, r *http.Request) {
	wait, enough, err := readWait(r.URL.Query())
	if err != nil {
		complain(w, http.StatusBadRequest, err)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), wait)
	defer cancel()
	show(w, http.StatusOK, s.books.await(ctx, s.done, enough))
}

// readWait reads how long to wait for what.
func readWait(query url.Values) (wait time.Duration, enough func(Report) bool, err error) {
	wanted := map[string]int64{}
	for name, values := range query {
		value := values[len(values)-1]
		switch name {
		case "wait":
			wait, err = time.ParseDuration(value)
			if err != nil || wait < 0 || wait > time.Minute {
				return 0, nil, fmt.Errorf("wait=%s: want a duration up to 1m", value)
			}
		case "calls", "completed", "refused", "failed", "cancelled", "open", "open_streams":
			n, err := strconv.ParseInt(value, 10, 64)
			if err != nil || n < 0 {
				return 0, nil, fmt.Errorf("%s=%s: want a number", name, value)
			}
			wanted[name] = n
		default:
			return 0, nil, fmt.Errorf("%s: there are wait, calls, completed, refused, failed, cancelled, open and open_streams", name)
		}
	}
	atMost := func(name string, have int64) bool {
		want, asked := wanted[name]
		return !asked || have <= want
	}
	return wait, func(r Report) bool {
		return r.Calls >= wanted["calls"] && r.Completed >= wanted["completed"] && r.Refused >= wanted["refused"] &&
			r.Failed >= wanted["failed"] && r.Cancelled >= wanted["cancelled"] &&
			atMost("open", r.Open) && atMost("open_streams", r.OpenStreams)
	}, nil
}

// readBehaviour reads words from a JSON object: text, numbers, true and false.
func readBehaviour(body io.Reader) (Behaviour, error) {
	var said map[string]jsontext.Value
	if err := json.UnmarshalRead(body, &said); err != nil || said == nil {
		return Behaviour{}, errors.Join(errors.New(`want a JSON object such as {"status": 503, "latency": "1s"}`), err)
	}
	names := make([]string, 0, len(said))
	for name := range said {
		names = append(names, name)
	}
	slices.Sort(names)
	var b Behaviour
	for _, name := range names {
		w, err := findWord(name)
		if err != nil {
			return Behaviour{}, err
		}
		value := string(said[name])
		switch said[name].Kind() {
		case '"':
			value = ""
			err = json.Unmarshal(said[name], &value)
		case 'n', '{', '[':
			err = errors.New("want a text, a number, true or false")
		}
		if err == nil {
			err = w.set(&b, value)
		}
		if err != nil {
			return Behaviour{}, fmt.Errorf("%s: %w", name, err)
		}
	}
	return b, b.check()
}
