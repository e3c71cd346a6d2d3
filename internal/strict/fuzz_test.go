package strict_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"keyshield/internal/apierr"
	"keyshield/internal/strict"
)

// FuzzRead holds what is accepted against encoding/json, which is lenient where two
// readers of one body could see two things: what both read must be the same.
func FuzzRead(f *testing.F) {
	for _, s := range []string{
		`{"name":"a","size":"vast","gift":true,"count":9,"weight":-0.5,"lines":[{"id":"a","sub":{"id":"b"}}],"notes":{"k":"v"},"plan":{"é":[1.5,{}]}}`,
		`{"name":"\ud83d\ude00","notes":{"A":"1","a":"2"}}`, `{"lines":[{"id":"a"},{"id":"b"},{"id":"c"},{"id":"d"}]}`, `{"weight":1e-400,"count":1}`,
		`{"name":"a","Name":"b"}`, `{"name":"\ud800"}`, "{\"name\":\"\xff\"}", `{"x":[[[{}]]],"x":1}`, `{"plan":[[[[]]]]}`, `{"gift":null,"size":"no"}`, `[]`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, body string) {
		got, err := read(body)
		if err != nil {
			e, ok := errors.AsType[*apierr.Error](err)
			if !ok || e.Status != 400 || e.Message == "" || len(e.Message) > 1000 || strings.ContainsFunc(e.Message+e.Param, unicode.IsControl) {
				t.Errorf("%q: %v", body, err)
			}
			return
		}
		var theirs struct {
			Name, Size string
			Gift       bool
			Count      int64
			Weight     float64
			Lines      []line
			Notes      map[string]string
			Plan       json.RawMessage
		}
		dec := json.NewDecoder(strings.NewReader(body))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&theirs); err != nil || !utf8.ValidString(body) {
			t.Fatalf("%q was accepted; encoding/json: %v", body, err)
		}
		want := order{theirs.Name, theirs.Size, theirs.Gift, theirs.Count, theirs.Weight, theirs.Lines, theirs.Notes, got.Plan}
		if len(want.Lines) == 0 {
			want.Lines = nil // [] and absent are one to a reader that appends
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q is read differently by encoding/json:\n%s", body, diff)
		}
		checkPlan(t, theirs.Plan, got.Plan)
	})
}

// checkPlan: a document keeps its meaning and becomes compact ASCII.
func checkPlan(t *testing.T, was json.RawMessage, plan string) {
	t.Helper()
	if was == nil && plan == "" {
		return
	}
	if strings.ContainsFunc(plan, func(c rune) bool { return c > '~'+1 }) {
		t.Errorf("%q is not ASCII", plan)
	}
	if a, b := values(was), values([]byte(plan)); !cmp.Equal(a, b) {
		t.Errorf("%q became %q", was, plan)
	}
}

// values decodes with numbers as they are written.
func values(doc []byte) (v any) {
	dec := json.NewDecoder(bytes.NewReader(doc))
	dec.UseNumber()
	if dec.Decode(&v) != nil {
		return nil
	}
	return v
}

func FuzzAppendASCII(f *testing.F) {
	for _, s := range []string{"", "a", "é", "日本語 und mehr", "😀", "\u2028\x7f", "a\"\\\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if !utf8.ValidString(s) {
			return
		}
		quoted, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		got := strict.AppendASCII(nil, quoted)
		var back string
		if err := json.Unmarshal(got, &back); err != nil || back != s || bytes.ContainsFunc(got, func(c rune) bool { return c >= utf8.RuneSelf }) {
			t.Errorf("%q became %s, which reads %q, %v", s, got, back, err)
		}
	})
}
