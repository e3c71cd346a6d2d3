package config

import (
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/caarlos0/env/v11"

	"keyshield/internal/limit"
	"keyshield/internal/policy"
	"keyshield/internal/secret"
)

// parse fills Config from what was chosen. Every value that is not right becomes
// a problem in our words: those of the parsers quote the value, whatever it is.
func (l *Loaded) parse(in inputs) {
	err := env.ParseWithOptions(&l.Config, env.Options{
		Environment: in.chosen,
		FuncMap: map[reflect.Type]env.ParserFunc{
			reflect.TypeFor[secret.String](): func(v string) (any, error) { return secret.New(v), nil },
		},
	})
	bad := parseErrors(err)
	for _, s := range settings(&l.Config) {
		value, set := in.chosen[s.name]
		if set && s.secret || !l.sound(s.name) {
			continue // checked by what it is for, or spoilt before it came here
		}
		err := bad[s.field]
		told, _ := errors.AsType[*fault](err)
		switch {
		case told != nil:
			l.problem(s.name, s.name+": "+told.text, told.fix)
		case err != nil && s.tellsItself() && showable(value):
			l.problem(s.name, s.name+": "+err.Error(), s.line())
		case err != nil,
			set && s.outside(),
			set && len(s.oneof) > 0 && !slices.Contains(s.oneof, value):
			l.problem(s.name, fmt.Sprintf("%s must be %s, not %s", s.name, s.wants(), quote(value)), s.line())
		}
	}
}

// tellsItself reports whether the type's own error says more than wants does.
func (s setting) tellsItself() bool {
	switch s.value.Interface().(type) {
	case limit.Rate, limit.Trust, Budget, policy.Multiplier:
		return true
	}
	return false
}

// parseErrors sorts env's errors by the Go field that each names.
func parseErrors(err error) map[string]error {
	bad := map[string]error{}
	var all env.AggregateError
	if !errors.As(err, &all) {
		return bad
	}
	for _, e := range all.Errors {
		var p env.ParseError
		if !errors.As(e, &p) {
			panic("config: " + e.Error()) // a mistake in our tags; the tests load every setting
		}
		bad[p.Name] = p.Err
	}
	return bad
}
