package config

import (
	"fmt"
	"reflect"
	"strings"
	"time"

	"keyshield/internal/limit"
	"keyshield/internal/policy"
	"keyshield/internal/secret"
)

// setting is one field of Config, read from its tags.
type setting struct {
	name     string // the variable
	field    string // the Go field; unique in all groups, for env's errors name only that
	group    string
	desc     string
	def      string // the default in Serve
	dev      string // the default in Dev, if another
	example  string
	min, max string
	oneof    []string
	required string // what to say instead of a default; "" if there is one, or no need
	secret   bool
	value    reflect.Value // the field itself
}

// settings lists the fields of c in their order.
func settings(c *Config) []setting {
	var all []setting
	groups := reflect.ValueOf(c).Elem()
	for g := range groups.NumField() {
		group := groups.Field(g)
		if groups.Type().Field(g).Tag.Get("env") == "-" {
			continue // a result, not a group
		}
		for f := range group.NumField() {
			field := group.Type().Field(f)
			tag := field.Tag
			all = append(all, setting{
				name:     tag.Get("env"),
				field:    field.Name,
				group:    groups.Type().Field(g).Tag.Get("desc"),
				desc:     tag.Get("desc"),
				def:      tag.Get("envDefault"),
				dev:      tag.Get("dev"),
				example:  tag.Get("eg"),
				min:      tag.Get("min"),
				max:      tag.Get("max"),
				oneof:    strings.Fields(tag.Get("oneof")),
				required: tag.Get("must"),
				secret:   field.Type == reflect.TypeFor[secret.String](),
				value:    group.Field(f),
			})
		}
	}
	return all
}

// line is a line for the environment that is right.
func (s setting) line() string {
	switch {
	case s.example != "":
		return s.name + "=" + s.example
	case s.def != "":
		return s.name + "=" + s.def
	}
	return s.name + "="
}

// wants says what a right value looks like.
func (s setting) wants() string {
	if len(s.oneof) == 1 {
		return s.oneof[0] + " or unset"
	}
	if len(s.oneof) > 0 {
		return strings.Join(s.oneof[:len(s.oneof)-1], ", ") + " or " + s.oneof[len(s.oneof)-1]
	}
	kind := "text"
	switch s.value.Interface().(type) {
	case int:
		kind = "a whole number"
	case Cap:
		kind = "off or a whole number"
	case *float64:
		kind = "a number"
	case time.Duration:
		kind = "a duration such as " + s.def
	case Bytes:
		kind = "a size such as 65536, 64KiB or 1MiB"
	case Budget:
		return "dollars such as 20 or 0.5, or off"
	case Percents:
		return "percentages such as " + s.def + ", or off"
	case policy.Multiplier:
		return "a factor such as 1.1"
	case Pause:
		return fmt.Sprintf("a duration such as %s, from %s to %s, or off", s.def, short(shortestPause), short(longestPause))
	case KeySource:
		return "aws-sm:<name>, gcp-sm:projects/<project>/secrets/<secret> or doppler:<project>/<config>"
	case limit.Rate:
		return "<number>/<duration> such as " + s.def + ", or off"
	}
	if s.min != "" {
		kind += fmt.Sprintf(", from %s to %s", s.min, s.max)
	}
	return kind
}

// outside reports whether the field's value is beyond its bounds.
func (s setting) outside() bool {
	if s.min == "" {
		return false
	}
	switch v := s.value.Interface().(type) {
	case int:
		return outside(v, s, number[int])
	case Cap:
		return !v.Off() && outside(int(v), s, number[int])
	case Bytes:
		return outside(v, s, size)
	case time.Duration:
		return outside(v, s, duration)
	case *float64:
		return v != nil && (*v != *v || outside(*v, s, number[float64])) // NaN is not a temperature
	}
	return true // a bound on something that has none
}

func outside[T int | float64 | Bytes | time.Duration](v T, s setting, parse func(string) T) bool {
	return v < parse(s.min) || v > parse(s.max)
}

// The parsers of our own tags. A test parses them all.

func number[T int | float64](text string) (n T) {
	if _, err := fmt.Sscan(text, &n); err != nil {
		panic("config: bad bound " + text)
	}
	return n
}

func duration(text string) time.Duration {
	d, err := time.ParseDuration(text)
	if err != nil {
		panic("config: bad bound " + text)
	}
	return d
}

func size(text string) (b Bytes) {
	if err := b.UnmarshalText([]byte(text)); err != nil {
		panic("config: bad bound " + text)
	}
	return b
}
