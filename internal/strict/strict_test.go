package strict_test

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"keyshield/internal/apierr"
	"keyshield/internal/strict"
)

// order is a body that takes one value of every kind.
type order struct {
	Name, Size string
	Gift       bool
	Count      int64
	Weight     float64
	Lines      []line
	Notes      map[string]string
	Plan       string // a document
}

type line struct {
	ID  string
	Sub *line
}

var orderFields = []string{"name", "size", "gift", "count", "weight", "lines", "notes", "plan"}

func read(body string) (o order, err error) {
	err = strict.Read([]byte(body), orderFields, func(r *strict.Reader, name string) {
		switch name {
		case "name":
			o.Name = r.Text(8)
		case "size":
			o.Size = r.Enum("small", "large", "vast")
		case "gift":
			o.Gift = !r.Null() && r.Bool()
		case "count":
			o.Count = r.Int(1, 9)
		case "weight":
			o.Weight = r.Number(-1.5, 2)
		case "lines":
			r.Array(3, func(int) { o.Lines = append(o.Lines, readLine(r)) })
		case "notes":
			o.Notes = map[string]string{}
			r.Map(2, func(name string) { o.Notes[name] = r.String() })
		case "plan":
			o.Plan = string(r.Document(3, 60))
		}
	})
	if err != nil {
		return order{}, err
	}
	return o, nil
}

func readLine(r *strict.Reader) (l line) {
	r.Object([]string{"id", "sub"}, func(name string) {
		switch name {
		case "id":
			l.ID = r.String()
		case "sub":
			l.Sub = new(readLine(r))
		}
	})
	switch l.ID {
	case "":
		r.Missing("id")
	case "bad":
		r.InvalidMember("id", "must be %s", "good")
	}
	return l
}

func TestBodiesThatAreAccepted(t *testing.T) {
	for body, want := range map[string]order{
		`{}`: {},
		" {\"name\":\"a\\u0062\",\r\n\"size\":\"vast\",\"gift\":true,\"count\":9,\"weight\":-0.5e0} ": {Name: "ab", Size: "vast", Gift: true, Count: 9, Weight: -0.5},
		`{"n\u0061me":"x","gift":null}`:                            {Name: "x"},
		`{"lines":[{"id":"a","sub":{"sub":{"id":"c"},"id":"b"}}]}`: {Lines: []line{{"a", &line{"b", &line{"c", nil}}}}},
		`{"lines":[]}`:              {},
		`{"notes":{"":"x","é":""}}`: {Notes: map[string]string{"": "x", "é": ""}},
		`{"plan": {"é": [1.50, {}], "b":"\u00e9\/😀"} }`: {Plan: `{"\u00e9":[1.50,{}],"b":"\u00e9\/\ud83d\ude00"}`},
		`{"plan": "日本" }`:                               {Plan: `"\u65e5\u672c"`},
	} {
		got, err := read(body)
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("%s: %v\n%s", body, err, diff)
		}
	}
}

func TestBodiesThatAreRefused(t *testing.T) {
	for _, tt := range []struct{ body, code, param, message string }{
		{``, "invalid_json", "", "The request body is not valid JSON."},
		{`null`, "invalid_json", "", ""},
		{`[{}]`, "invalid_json", "", ""},
		{`{"name":"a"`, "invalid_json", "", ""},
		{`{"name":"a"} {}`, "invalid_json", "", ""},
		{`{"name":"a",}`, "invalid_json", "", ""},
		{`{"name":}`, "invalid_json", "", ""},
		{`{"name" "a"}`, "invalid_json", "", ""},
		{`{"count":01}`, "invalid_json", "", ""},
		{`{"lines":[{"id":"a"]}`, "invalid_json", "", ""},
		{`{"lines":[{"id":"a"}`, "invalid_json", "", ""},
		{`{"notes":{"a":"b"`, "invalid_json", "", ""},
		{`{"unknown":1, x}`, "invalid_json", "", ""}, // the text as a whole comes first
		{`{"count":77}]`, "invalid_json", "", ""},
		{"{\"name\":\"\xff\"}", "invalid_utf8", "", "The request body is not valid UTF-8."},
		{"{\"name\":\"\\ud800\",\"plan\":\"\xff\"}", "invalid_utf8", "", "The request body is not valid UTF-8."},
		{`{"name":"\ud800"}`, "invalid_utf8", "name", `Field "name" holds half a character, a lone surrogate such as "\ud83d": cutting a text in the middle of an emoji, as slice() does, leaves one. Cut between characters, or in JavaScript send text.toWellFormed().`},
		{`{"plan":["\udc00"]}`, "invalid_utf8", "plan[0]", ""},
		{`{"lines":[{"id":"a"},{"id":"\ud83d…"}]}`, "invalid_utf8", "lines[1].id", ""},
		{`{"lines":[{"id":"a","\ud83d":1}]}`, "invalid_utf8", "lines[0]", ""}, // half a name is none
		{`{"\ud83d":1}`, "invalid_utf8", "", `The request body holds half a character, a lone surrogate such as "\ud83d": cutting a text in the middle of an emoji, as slice() does, leaves one. Cut between characters, or in JavaScript send text.toWellFormed().`},
		{`{"7":"\ud83d"}`, "invalid_utf8", "7", ""},
		{`{"a\"b":{"<c>":"\ud83d"}}`, "invalid_utf8", "a?b.?c?", ""},
		{strings.Repeat(`{"x":`, 5000) + `"\ud83d"` + strings.Repeat("}", 5000), "invalid_utf8", "x" + strings.Repeat(".x", 15), ""}, // no longer than what we read is deep

		{`{"name":"a","name":"b"}`, "duplicate_field", "name", `Field "name" appears more than once.`},
		{`{"name":"a","n\u0061me":"b"}`, "duplicate_field", "name", ""},
		{`{"lines":[{"id":"a","id":"b"}]}`, "duplicate_field", "id", ""},
		{`{"lines":[{"id":"a","sub":{"id":"b","sub":null,"id":"c"}}]}`, "duplicate_field", "id", ""},
		{`{"notes":{"a":"b","a":"c"}}`, "duplicate_field", "a", ""},
		{`{"plan":{"a":{"b":1,"b":2}}}`, "duplicate_field", "b", ""},
		{`{"x":1,"name":"a","name":"b"}`, "duplicate_field", "name", ""},
		{`{"Name":"a"}`, "duplicate_field", "Name", `Field "Name" must be written "name".`},
		{`{"name":"a","NAME":"b"}`, "duplicate_field", "NAME", ""},
		{`{"ſize":"small"}`, "duplicate_field", "ſize", ""},
		{`{"lines":[{"id":"a"},{"id":"b","sub":{"ID":"c"}}]}`, "duplicate_field", "lines[1].sub.ID", `Field "lines[1].sub.ID" must be written "id".`},

		{`{"model":1}`, "unknown_field", "model", `Unknown field "model". See /openapi.yaml for those that are accepted.`},
		{`{"":1}`, "unknown_field", "", `Unknown field "". See /openapi.yaml for those that are accepted.`},
		{`{"lines":[{"id":"a","<\u0000":1}]}`, "unknown_field", "lines[0].??", `Unknown field "lines[0].??". Only "id" and "sub" are accepted.`},
		{`{"model":1,"count":77}`, "unknown_field", "model", ""}, // the first that cannot be accepted

		{`{"name":7}`, "invalid_field", "name", `Field "name" must be a string.`},
		{`{"name":null}`, "invalid_field", "name", ""},
		{`{"name":""}`, "invalid_field", "name", `Field "name" must not be empty.`},
		{`{"name":"123456789"}`, "invalid_field", "name", `Field "name" must not be longer than 8 bytes.`},
		{`{"size":"SMALL"}`, "invalid_field", "size", `Field "size" must be "small", "large" or "vast".`},
		{`{"size":["small"]}`, "invalid_field", "size", ""},
		{`{"gift":"true"}`, "invalid_field", "gift", `Field "gift" must be true or false.`},
		{`{"gift":1}`, "invalid_field", "gift", ""},
		{`{"count":0}`, "invalid_field", "count", `Field "count" must be a whole number from 1 to 9.`},
		{`{"count":10}`, "invalid_field", "count", ""},
		{`{"count":1.0}`, "invalid_field", "count", ""},
		{`{"count":1e0}`, "invalid_field", "count", ""},
		{`{"count":"1"}`, "invalid_field", "count", ""},
		{`{"count":99999999999999999999}`, "invalid_field", "count", ""},
		{`{"weight":2.0000001}`, "invalid_field", "weight", `Field "weight" must be a number from -1.5 to 2.`},
		{`{"weight":-1.6}`, "invalid_field", "weight", ""},
		{`{"weight":1e999}`, "invalid_field", "weight", ""},
		{`{"weight":"1"}`, "invalid_field", "weight", ""},
		{`{"weight":[1]}`, "invalid_field", "weight", ""},

		{`{"lines":{}}`, "invalid_field", "lines", `Field "lines" must be an array.`},
		{`{"lines":[7]}`, "invalid_field", "lines[0]", `Field "lines[0]" must be an object.`},
		{`{"lines":[{"id":"a"},null]}`, "invalid_field", "lines[1]", ""},
		{`{"lines":[{"id":"a"},{}]}`, "invalid_field", "lines[1].id", `Field "lines[1].id" is missing.`},
		{`{"lines":[{"id":"a","sub":{}}]}`, "invalid_field", "lines[0].sub.id", ""},
		{`{"lines":[{"id":"a","sub":{"id":"bad","sub":{"id":"c"}}}]}`, "invalid_field", "lines[0].sub.id", `Field "lines[0].sub.id" must be good.`},
		{`{"lines":[{"id":"a"},{"id":"a"},{"id":"a"},{},{}]}`, "invalid_field", "lines", `Field "lines" has too many elements: at most 3 are accepted.`},
		{`{"notes":{"a":"1","b":"2","c":3}}`, "invalid_field", "notes", `Field "notes" has too many members: at most 2 are accepted.`},
		{`{"notes":{"a":"1","7":2}}`, "invalid_field", "notes.7", ""},
		{`{"notes":["a"]}`, "invalid_field", "notes", `Field "notes" must be an object.`},
		{`{"plan":[[[[]]]]}`, "invalid_field", "plan", `Field "plan" is nested too deeply: at most 3 brackets, one inside the other, are accepted.`},
		{`{"plan":"` + strings.Repeat("é", 10) + `"}`, "invalid_field", "plan", `Field "plan" must not be longer than 60 bytes.`},
	} {
		_, err := read(tt.body)
		e, ok := errors.AsType[*apierr.Error](err)
		if !ok || e.Status != 400 || e.Code != tt.code || e.Param != tt.param || tt.message != "" && e.Message != tt.message {
			t.Errorf("%s: %v about %q; want %s about %q: %s", tt.body, err, paramOf(e), tt.code, tt.param, tt.message)
		}
	}
}

func paramOf(e *apierr.Error) string {
	if e == nil {
		return ""
	}
	return e.Param
}

func TestWholeNumbersSayTheirBounds(t *testing.T) {
	for _, tt := range []struct {
		least, most int64
		want        string
	}{
		{0, 20, "must be a whole number from 0 to 20"},
		{1, math.MaxInt64, "must be a whole number, at least 1"},
		{math.MinInt64, math.MaxInt64, "must be a whole number"},
	} {
		err := strict.Read([]byte(`{"n":0.5}`), []string{"n"}, func(r *strict.Reader, _ string) { r.Int(tt.least, tt.most) })
		if e := apierr.From(err); e.Message != `Field "n" `+tt.want+"." {
			t.Errorf("%d to %d: %q, want %q", tt.least, tt.most, e.Message, tt.want)
		}
	}
}

func TestNumbersReachTheirBounds(t *testing.T) {
	body := []byte(`{"a":9223372036854775807,"b":-9223372036854775808,"c":2,"d":-2}`)
	got := map[string]float64{}
	err := strict.Read(body, []string{"a", "b", "c", "d"}, func(r *strict.Reader, name string) {
		if name < "c" {
			got[name] = float64(r.Int(math.MinInt64, math.MaxInt64))
			return
		}
		got[name] = r.Number(-2, 2)
	})
	want := map[string]float64{"a": math.MaxInt64, "b": math.MinInt64, "c": 2, "d": -2}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v\n%s", err, diff)
	}
}

// TestHowDeepADocumentIs counts brackets that are not in strings.
func TestHowDeepADocumentIs(t *testing.T) {
	for doc, deep := range map[string]int{
		`7`: 0, `"[{"`: 0, `{}`: 1, `[]`: 1, `["[[","\"[[",{"{":"}"}]`: 2, `[[],[[]],[]]`: 3, `{"a":"\\","b":[{}]}`: 3,
	} {
		for _, allowed := range []int{deep, deep - 1} {
			var got []byte
			err := strict.Read([]byte(`{"d":`+doc+`}`), []string{"d"}, func(r *strict.Reader, _ string) { got = r.Document(allowed, 100) })
			if (err == nil) != (allowed == deep) || err == nil && string(got) != doc {
				t.Errorf("%s with %d levels allowed: %s, %v", doc, allowed, got, err)
			}
		}
	}
}

// TestNothingIsReadAfterARefusal: what comes later is skipped, and may be refused
// for the text as a whole only.
func TestNothingIsReadAfterARefusal(t *testing.T) {
	calls := 0
	err := strict.Read([]byte(`{"a":1,"b":{"c":[1,2]},"d":[3]}`), []string{"a", "b", "d"}, func(r *strict.Reader, name string) {
		calls++
		if s := r.String(); s != "" || !r.Refused() {
			t.Errorf("%s: a number was read as %q", name, s)
		}
		r.Invalid("must not be heard")
		r.Missing("nothing")
	})
	if e := apierr.From(err); calls != 1 || e.Param != "a" || e.Message != `Field "a" must be a string.` {
		t.Errorf("%d members handed on, refused with %q about %q", calls, e.Message, e.Param)
	}
}

func TestNothingOfABodyIsKept(t *testing.T) {
	body := []byte(`{"name":"hello","plan":{"a":"b"},"notes":{"k":"v"}}`)
	var name, key, value string
	var plan []byte
	err := strict.Read(body, orderFields, func(r *strict.Reader, field string) {
		switch field {
		case "name":
			name = r.String()
		case "plan":
			plan = r.Document(3, 100)
		case "notes":
			r.Map(9, func(k string) { key, value = k, r.String() })
		}
	})
	for i := range body {
		body[i] = 'x'
	}
	if err != nil || name != "hello" || string(plan) != `{"a":"b"}` || key != "k" || value != "v" {
		t.Errorf("after its body was reused: %q %s %q %q, %v", name, plan, key, value, err)
	}
}
