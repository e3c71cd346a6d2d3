package main

import (
	"net/http"
	"slices"

	"keyshield/internal/auth"
	"keyshield/internal/pages"
	"keyshield/internal/policy"
)

// newPlayground is the page on which the server is tried; nil unless the settings
// want it. Only dev gives it a token: whoever opens the page gets that.
func newPlayground(g program) http.Handler {
	if !g.cfg.Operator.Playground {
		return nil
	}
	o := pages.PlaygroundOptions{
		URL: g.cfg.Server.PublicURL, Simulated: g.simulated, Behind: g.behind,
		Endpoints: g.cfg.Server.Endpoints, MaxPrompt: g.cfg.Text.MaxPromptChars, Rules: tokenRules(g.cfg.Auth),
	}
	if slices.Contains(g.cfg.V1.Models, g.cfg.Text.Model) {
		o.Model = g.cfg.Text.Model
	} else if i := slices.IndexFunc(g.cfg.V1.Models, func(m string) bool { return g.cfg.Prices.Knows(m, policy.Chat) }); i >= 0 {
		o.Model = g.cfg.V1.Models[i]
	}
	if g.dev {
		o.Token = g.token
	} else {
		o.Behind = behind(g.cfg, true)
	}
	return pages.Playground(o)
}

// tokenRules are what the page can see of a token by itself.
func tokenRules(c auth.Config) pages.TokenRules {
	rules := pages.TokenRules{
		Algorithms: []string{"RS256", "ES256", "EdDSA"}, KeyID: true,
		Issuer: c.Issuer, Audience: c.Audience, MaxLifetime: c.MaxLifetime, Leeway: auth.Leeway,
		UserClaim: c.UserClaim, PlanClaim: c.PlanClaim,
	}
	if selfSigned(c) {
		rules.Algorithms, rules.KeyID = []string{"HS256"}, false
	}
	return rules
}
