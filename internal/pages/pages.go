// Package pages shows: a playground that asks this server as a front end would, and
// a dashboard that shows the operator what the admin API says.
//
// They are files, written by hand and embedded as they are. What they know they read
// over HTTP like everybody else, so there is nothing in here that could leak, and
// nothing that a stranger may not see: the playground asks with the visitor's token,
// the dashboard with the operator's session. Whatever the server says is shown as
// text (static/assets/dom.js), and the content security policy makes sure of it: no
// inline script, no style, no HTML from a string, no other host.
package pages

import (
	"encoding/json"
	"net/http"
	"time"
)

// PlaygroundOptions are about the server that the playground asks.
type PlaygroundOptions struct {
	URL       string   // of this server, for the calls that visitors copy; "" is the page's own origin
	Simulated bool     // a simulator answers, and nothing is spent
	Behind    string   // who answers, in a sentence
	Token     string   // a ready one. Everybody who opens the page gets it: never outside of dev
	Endpoints []string // that are open, as in ENDPOINTS
	Model     string   // to ask for on /v1
	MaxPrompt int      // characters; 0 is no limit that the page knows of
	Rules     TokenRules
}

// TokenRules are what a token must say, so that the page can tell why one would be
// refused. The signature is the server's to check.
type TokenRules struct {
	Algorithms  []string
	KeyID       bool // required
	Issuer      string
	Audience    []string // one of them
	MaxLifetime time.Duration
	Leeway      time.Duration // for clocks that differ
	UserClaim   string
	PlanClaim   string
}

// playgroundConfig is GET /playground/config.json.
type playgroundConfig struct {
	URL       string      `json:"url"`
	Simulated bool        `json:"simulated"`
	Behind    string      `json:"behind"`
	Token     string      `json:"token"`
	Endpoints []string    `json:"endpoints"`
	Model     string      `json:"model"`
	MaxPrompt int         `json:"max_prompt"`
	Rules     tokenConfig `json:"rules"`
}

type tokenConfig struct {
	Algorithms  []string `json:"algorithms"`
	KeyID       bool     `json:"key_id"`
	Issuer      string   `json:"issuer"`
	Audience    []string `json:"audience"`
	MaxLifetime int64    `json:"max_lifetime_ms"`
	Leeway      int64    `json:"leeway_ms"`
	UserClaim   string   `json:"user_claim"`
	PlanClaim   string   `json:"plan_claim"`
}

func (o PlaygroundOptions) config() playgroundConfig {
	return playgroundConfig{
		URL: o.URL, Simulated: o.Simulated, Behind: o.Behind, Token: o.Token,
		Endpoints: append([]string{}, o.Endpoints...), Model: o.Model, MaxPrompt: o.MaxPrompt,
		Rules: tokenConfig{
			Algorithms: append([]string{}, o.Rules.Algorithms...), KeyID: o.Rules.KeyID,
			Issuer: o.Rules.Issuer, Audience: append([]string{}, o.Rules.Audience...),
			MaxLifetime: o.Rules.MaxLifetime.Milliseconds(), Leeway: o.Rules.Leeway.Milliseconds(),
			UserClaim: o.Rules.UserClaim, PlanClaim: o.Rules.PlanClaim,
		},
	}
}

// Playground answers / and everything under /playground/.
func Playground(o PlaygroundOptions) http.Handler {
	s := newSite("/playground/", "playground.html")
	s.add("/", s.page)
	s.add("/playground/config.json", configFile(o.config()))
	return s
}

// DashboardOptions are about the operator's pages.
type DashboardOptions struct {
	Idle   time.Duration // unused for so long, the page signs out; 0 is 30 minutes, which is when the session ends
	KeyAge time.Duration // a key that is older is due for rotation; 0 is 90 days
}

// dashboardConfig is GET /admin/config.json, which anybody may read.
type dashboardConfig struct {
	Idle   int64 `json:"idle_ms"`
	KeyAge int64 `json:"key_age_ms"`
}

const (
	usualIdle   = 30 * time.Minute
	usualKeyAge = 90 * 24 * time.Hour
)

// Site is a page with its files. Has says which paths it answers.
type Site interface {
	http.Handler
	Has(path string) bool
}

// Dashboard answers /admin/ and everything under it but /admin/api/. It has nothing
// to hide: what it shows comes from the API, to whoever signed in there.
func Dashboard(o DashboardOptions) Site {
	if o.Idle <= 0 {
		o.Idle = usualIdle
	}
	if o.KeyAge <= 0 {
		o.KeyAge = usualKeyAge
	}
	s := newSite("/admin/", "dashboard.html")
	s.add("/admin/", s.page)
	s.add("/admin/config.json", configFile(dashboardConfig{o.Idle.Milliseconds(), o.KeyAge.Milliseconds()}))
	s.moved = "/admin"
	for _, f := range s.files {
		f.secluded = true
	}
	return s
}

// configFile never fails: both kinds of it are numbers and texts.
func configFile(v any) *file {
	text, err := json.Marshal(v)
	if err != nil {
		panic("pages: a configuration that is no JSON: " + err.Error())
	}
	return newFile("application/json; charset=utf-8", text, fresh)
}
