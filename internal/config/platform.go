package config

import (
	"path/filepath"
	"strings"
)

// platform is a place where the program runs, told by its variables.
type platform struct {
	name  string
	proxy string // the TRUSTED_PROXY that is right there; "" when there is no telling
	disk  string // what keeps data there; "" when nothing does
	on    func(shell map[string]string) bool
}

// platformOf recognises the platform by the variables it sets, never by
// guessing. Kubernetes says nothing about what stands in front of a pod.
func platformOf(shell map[string]string) (platform, bool) {
	for _, p := range []platform{
		{"Render", "render", "a disk (in the service's settings, or disk: in render.yaml)", has("RENDER")},
		{"Railway", "railway", "a volume to the service", onRailway},
		{"Fly", "fly", "a volume (fly volumes create, and [mounts] in fly.toml)", has("FLY_APP_NAME")},
		{"Heroku", "heroku", "", has("DYNO")},
		{"Cloud Run", "cloudrun", "", has("K_SERVICE")},
		{"Kubernetes", "", "a persistent volume (volumeMounts, of a persistentVolumeClaim)", has("KUBERNETES_SERVICE_HOST")},
	} {
		if p.on(shell) {
			return p, true
		}
	}
	return platform{}, false
}

// home is a place whose own disk is thrown away.
type home struct {
	loses string // when
	disk  string // what to attach to have one that lasts; "" where there is none
}

// forgetfulHome recognises such a place by its variables; KEYSHIELD_IMAGE is set
// in our image. A machine of one's own says nothing, and keeps its disk.
func forgetfulHome(shell map[string]string) (home, bool) {
	if p, ok := platformOf(shell); ok {
		return home{p.name + " throws it away with every deploy and restart", p.disk}, true
	}
	if shell["KEYSHIELD_IMAGE"] == "1" {
		return home{"it is thrown away with the container", "a volume (docker run -v keyshield:/data …)"}, true
	}
	return home{}, false
}

// ways says how to go on.
func (h home) ways() string {
	const accept = "say in full that budgets may begin anew with each start"
	if h.disk == "" {
		return "There are no disks that last here: run it where there are, or " + accept
	}
	return "Attach " + h.disk + " and name the folder where it is mounted, or " + accept
}

// fix is the line that settles it.
func (h home) fix(shell map[string]string) string {
	const accept = "LEDGER_EPHEMERAL=accept"
	if h.disk == "" {
		return accept
	}
	at := "/data"
	if volume := shell["RAILWAY_VOLUME_MOUNT_PATH"]; filepath.IsAbs(volume) && showable(volume) {
		at = volume
	}
	return "DATA_DIR=" + at + " with a disk mounted there, or " + accept
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
