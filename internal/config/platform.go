package config

import "strings"

// platform is a place where the program runs, told by its variables.
type platform struct {
	name  string
	proxy string // the TRUSTED_PROXY that is right there; "" when there is no telling
	on    func(shell map[string]string) bool
}

// platformOf recognises the platform by the variables it sets, never by
// guessing. Kubernetes says nothing about what stands in front of a pod.
func platformOf(shell map[string]string) (platform, bool) {
	for _, p := range []platform{
		{"Render", "render", has("RENDER")},
		{"Railway", "railway", onRailway},
		{"Fly", "fly", has("FLY_APP_NAME")},
		{"Heroku", "heroku", has("DYNO")},
		{"Cloud Run", "cloudrun", has("K_SERVICE")},
		{"Kubernetes", "", has("KUBERNETES_SERVICE_HOST")},
	} {
		if p.on(shell) {
			return p, true
		}
	}
	return platform{}, false
}

func has(name string) func(map[string]string) bool {
	return func(shell map[string]string) bool { return shell[name] != "" }
}

// onRailway: its variables all begin with RAILWAY_, and so do the two by which
// its command line tool signs in, on any machine.
func onRailway(shell map[string]string) bool {
	for name := range shell {
		if strings.HasPrefix(name, "RAILWAY_") && name != "RAILWAY_TOKEN" && name != "RAILWAY_API_TOKEN" {
			return true
		}
	}
	return false
}

// ownOrigin is where the platform serves this program, if it says so.
func ownOrigin(shell map[string]string) string {
	guess := shell["RENDER_EXTERNAL_URL"]
	if host := shell["RAILWAY_PUBLIC_DOMAIN"]; host != "" {
		guess = "https://" + host
	}
	if app := shell["FLY_APP_NAME"]; app != "" {
		guess = "https://" + app + ".fly.dev"
	}
	if host := shell["HEROKU_APP_DEFAULT_DOMAIN_NAME"]; host != "" {
		guess = "https://" + host
	}
	own, err := canonicalOrigin(guess)
	if err != nil || own != guess || schemeOf(own) != "https" {
		return ""
	}
	return own
}
