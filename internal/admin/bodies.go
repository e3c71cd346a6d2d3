package admin

import (
	"bytes"
	"errors"
	"io"
	"math"
	"mime"
	"net/http"
	"os"
	"time"

	"keyshield/internal/strict"
)

// readBody reads a small JSON body whole. A page of another site cannot send that
// type without asking first.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	switch {
	case errors.As(err, new(*http.MaxBytesError)):
		return nil, refusal(http.StatusRequestEntityTooLarge, "body_too_large", "the body is too large: at most %d bytes are taken", maxBody)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, refusal(http.StatusRequestTimeout, "request_timeout", "the body took too long")
	case err != nil:
		return nil, badRequest("the body broke off")
	}
	patient(w)
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); len(body) > 0 && (err != nil || kind != "application/json") {
		return nil, refusal(http.StatusUnsupportedMediaType, "unsupported_media_type", "the body must be JSON: send it with Content-Type: application/json")
	}
	return body, nil
}

// readNothing takes an empty object, or nothing at all.
func readNothing(body []byte) (none struct{}, err error) {
	if text := string(bytes.Trim(body, " \t\r\n")); text != "" && text != "{}" {
		err = badRequest("there is nothing to be said in this body: leave it empty, or send {}")
	}
	return none, err
}

func readDisable(body []byte) (what DisableRequest, err error) {
	err = strict.Read(body, []string{"user", "issuer", "everything", "for", "why"}, func(r *strict.Reader, name string) {
		switch name {
		case "user":
			what.User = r.Text(maxText)
		case "issuer":
			what.Issuer = r.Text(maxText)
		case "everything":
			what.Everything = r.Bool()
		case "for":
			what.For = r.String()
		case "why":
			what.Why = r.String()
		}
	})
	return what, err
}

func readEnable(body []byte) (what EnableRequest, err error) {
	err = strict.Read(body, []string{"user", "issuer", "model", "everything", "why"}, func(r *strict.Reader, name string) {
		switch name {
		case "user":
			what.User = r.Text(maxText)
		case "issuer":
			what.Issuer = r.Text(maxText)
		case "model":
			what.Model = r.Text(maxText)
		case "everything":
			what.Everything = r.Bool()
		case "why":
			what.Why = r.String()
		}
	})
	return what, err
}

func readSeed(body []byte) (what SeedRequest, err error) {
	err = strict.Read(body, []string{"at", "month_nanousd", "day_nanousd", "why"}, func(r *strict.Reader, name string) {
		switch name {
		case "at":
			what.At = timeIn(r)
		case "month_nanousd":
			what.Month = amountIn(r)
		case "day_nanousd":
			what.Day = amountIn(r)
		case "why":
			what.Why = r.String()
		}
	})
	return what, err
}

func readReconcile(body []byte) (what ReconcileReport, err error) {
	names := []string{"project", "from", "to", "ours_nanousd", "theirs_nanousd", "tolerance_nanousd", "days"}
	err = strict.Read(body, names, func(r *strict.Reader, name string) {
		switch name {
		case "project":
			what.Project = r.Text(maxText)
		case "from":
			what.From = timeIn(r)
		case "to":
			what.To = timeIn(r)
		case "ours_nanousd":
			what.Ours = amountIn(r)
		case "theirs_nanousd":
			what.Theirs = amountIn(r)
		case "tolerance_nanousd":
			what.Tolerance = amountIn(r)
		case "days":
			r.Array(longestComparison, func(int) { what.Days = append(what.Days, dayIn(r)) })
		}
	})
	return what, err
}

func dayIn(r *strict.Reader) (day ReconcileDay) {
	r.Object([]string{"day", "ours_nanousd", "theirs_nanousd"}, func(name string) {
		switch name {
		case "day":
			day.Day = r.Text(len(time.DateOnly))
		case "ours_nanousd":
			day.Ours = amountIn(r)
		case "theirs_nanousd":
			day.Theirs = amountIn(r)
		}
	})
	return day
}

func amountIn(r *strict.Reader) NanoUSD { return NanoUSD(r.Int(0, math.MaxInt64)) }

func timeIn(r *strict.Reader) time.Time {
	text := r.String()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil && text != "" {
		r.Invalid("must be a time such as 2026-11-21T12:00:00Z")
	}
	return at.UTC()
}
