package admin

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"time"

	"keyshield/internal/limit"
)

func oneUser(d *Desk, w http.ResponseWriter, r *http.Request) error {
	if err := reading(r.URL.Query()).err; err != nil {
		return err
	}
	u, err := d.User(r.Context(), r.PathValue("name"))
	if err != nil {
		return err
	}
	return writeJSON(w, u)
}

func parseAnchors(v url.Values) ([]string, error) {
	return v["anchor"], reading(v, "anchor").err
}

func (h *handler) whoAmI(d *Desk, w http.ResponseWriter, r *http.Request) error {
	if err := reading(r.URL.Query()).err; err != nil {
		return err
	}
	trust := limit.Trust{}
	if d.Live != nil {
		trust = d.Live.Trust
	}
	return writeJSON(w, whoAmI(r, h.address(r), trust))
}

// signIn answers a token that the Door has looked at.
func (h *handler) signIn(d *Desk, w http.ResponseWriter, _ *http.Request) error {
	d.note("sign_in", "pages", "")
	return writeJSON(w, h.remote.Door.signIn(w))
}

func (h *handler) signOut(_ *Desk, w http.ResponseWriter, r *http.Request) error {
	h.remote.Door.signOut(w, r)
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func backup(d *Desk, w http.ResponseWriter, r *http.Request) error {
	if err := reading(r.URL.Query()).err; err != nil {
		return err
	}
	return stream(d, w, r, "application/octet-stream", "ledger.db", func(to *pacedWriter) error {
		return d.Backup(r.Context(), to)
	})
}

func exportAudit(d *Desk, w http.ResponseWriter, r *http.Request) error {
	q, err := parseAuditQuery(r.URL.Query())
	if err != nil {
		return err
	}
	return stream(d, w, r, "application/x-ndjson", "audit.jsonl", func(to *pacedWriter) error {
		err := d.ExportAudit(r.Context(), q, to)
		if told, ok := errors.AsType[*Refusal](err); ok && to.begun {
			to.lastWords(told)
		}
		return err
	})
}

// stream sends what write writes. Once it has begun, an error can only be told by
// cutting it off, which the other side takes for one.
func stream(d *Desk, w http.ResponseWriter, r *http.Request, kind, name string, write func(*pacedWriter) error) error {
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Disposition", `attachment; filename="`+name+`"`)
	if r.Method == http.MethodHead {
		return nil // nothing is taken away
	}
	body := &pacedWriter{w: w, control: http.NewResponseController(w), end: time.Now().Add(streamTimeout)}
	err := write(body)
	switch {
	case err != nil && body.begun:
		d.Log.Warn("an answer to the operator was cut off", "of", name, "error", err.Error())
		panic(http.ErrAbortHandler)
	case err != nil:
		w.Header().Del("Content-Disposition")
	}
	return err
}

// pacedWriter fails when the reader stalls.
type pacedWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
	end     time.Time
	begun   bool
}

func (p *pacedWriter) Write(b []byte) (int, error) {
	p.begun = true
	next := time.Now().Add(chunkTimeout)
	if next.After(p.end) {
		next = p.end
	}
	if err := p.control.SetWriteDeadline(next); err != nil {
		return 0, err
	}
	return p.w.Write(b)
}

// lastWords end an answer of lines that is to be cut off, with the reason on a line of
// its own that has no end: every record's has one. They are sent at once, with what was
// held back before them, as nothing is after the cut.
func (p *pacedWriter) lastWords(told *Refusal) {
	text, err := json.Marshal(told.body())
	if err == nil {
		_, err = p.Write(text)
	}
	if err == nil {
		_ = p.control.Flush() // who is gone need not be told
	}
}
