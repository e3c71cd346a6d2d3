package config

import (
	"fmt"
	"slices"
	"strings"

	"keyshield/internal/policy"
)

// Endpoints are those that are open, by the names that plans use too.
type Endpoints []string

// UnmarshalText reads "text,chat".
func (e *Endpoints) UnmarshalText(text []byte) error {
	names := entries(text)
	var right []string
	for _, name := range names {
		if meant := endpointMeant(name); meant != "" && !slices.Contains(right, meant) {
			right = append(right, meant)
		}
	}
	if len(right) == 0 {
		right = []string{policy.TextEndpoint}
	}
	fix := "ENDPOINTS=" + strings.Join(right, ",")
	for i, name := range names {
		switch {
		case !slices.Contains(policy.Endpoints(), name):
			return &fault{fmt.Sprintf("%s is no endpoint: there are %s", quote(name), strings.Join(policy.Endpoints(), ", ")), fix}
		case slices.Contains(names[:i], name):
			return &fault{"names " + name + " twice", fix}
		}
	}
	*e = right
	return nil
}

// endpointMeant is the endpoint that a name means, or "".
func endpointMeant(name string) string {
	name = strings.ToLower(name)
	for _, e := range policy.Endpoints() {
		if name == e || oneEdit(name, e) {
			return e
		}
	}
	return ""
}

func (e Endpoints) String() string { return strings.Join(e, ",") }

// open reports whether the server has an endpoint.
func (e Endpoints) open(endpoint string) bool { return slices.Contains(e, endpoint) }

// kinds are what is open of /v1.
func (e Endpoints) kinds() []policy.Kind {
	var all []policy.Kind
	for _, name := range e {
		if name != policy.TextEndpoint {
			all = append(all, policy.Kind(name))
		}
	}
	return all
}

// Models are exact ids.
type Models []string

// UnmarshalText reads "gpt-6-luna,text-embedding-3-small".
func (m *Models) UnmarshalText(text []byte) error {
	names := entries(text)
	var right Models
	for _, name := range names {
		if modelID.MatchString(name) && !secretive(name) && !slices.Contains(right, name) {
			right = append(right, name)
		}
	}
	fix := "MODELS=" + right.String()
	if len(right) == 0 {
		fix = "MODELS=gpt-6-luna"
	}
	for i, name := range names {
		switch {
		case !modelID.MatchString(name) || secretive(name):
			return &fault{"must be ids of models, separated by commas, and " + quote(name) + " is none", fix}
		case slices.Contains(names[:i], name):
			return &fault{"names " + quote(name) + " twice", fix}
		}
	}
	*m = right
	return nil
}

func (m Models) String() string { return strings.Join(m, ",") }

// entries are the parts of a list; one between two commas may be empty, which
// nothing is.
func entries(text []byte) []string {
	all := strings.Split(string(text), ",")
	for i, entry := range all {
		all[i] = strings.TrimSpace(entry)
	}
	return all
}
