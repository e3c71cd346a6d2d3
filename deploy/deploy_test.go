// Package deploy_test holds the files of this folder to what they promise. No
// container engine is needed: the Dockerfile's own build command is run on what
// its context lets in, the binary is run in an empty read-only root, and Caddy,
// where it is installed, runs the Caddyfile.
package deploy_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// secrets may also be given as NAME_FILE.
var secrets = []string{"OPENAI_API_KEY", "JWT_SECRET", "ADMIN_TOKEN"}

// platformVariables belong to the platforms, not to us.
var platformVariables = []string{
	"RAILWAY_DEPLOYMENT_DRAINING_SECONDS", // docs.railway.com/variables/reference
	"RAILWAY_RUN_UID",                     // docs.railway.com/volumes/reference
	"DOMAIN",                              // ours, for Caddy alone: Caddyfile and compose.yaml
	"SUBNET",                              // ours, for compose.yaml alone
	"UPSTREAM",                            // ours, for the Caddyfile alone
}

// root is the repository's own folder.
func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func read(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.FromSlash(name))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// skipUnlessRequired skips a test that this machine cannot run, and fails where
// KEYSHIELD_REQUIRE names it: a proof that CI silently leaves out is none.
func skipUnlessRequired(t *testing.T, name, why string) {
	t.Helper()
	if slices.Contains(strings.Split(os.Getenv("KEYSHIELD_REQUIRE"), ","), name) {
		t.Fatalf("KEYSHIELD_REQUIRE names %s, and it cannot run here: %s", name, why)
	}
	t.Skip(why)
}

var settingLine = regexp.MustCompile(`(?m)^#? ?([A-Z][A-Z0-9_]*)=(.*)$`)

// settings are the names of .env.example with the values that they show there.
func settings(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, line := range settingLine.FindAllStringSubmatch(read(t, "../.env.example"), -1) {
		found[line[1]] = strings.Trim(strings.TrimSpace(line[2]), `"'`)
	}
	if len(found) < 10 {
		t.Fatalf("found only %d settings in .env.example: has its form changed?", len(found))
	}
	return found
}

// wantKnown fails for a name that neither we nor the platform reads: it would
// be a setting that does nothing.
func wantKnown(t *testing.T, file string, names []string) {
	t.Helper()
	known := settings(t)
	if len(names) == 0 {
		t.Errorf("%s sets nothing: does the test still understand the file?", file)
	}
	for _, name := range names {
		base := strings.TrimSuffix(name, "_FILE")
		_, ours := known[name]
		asFile := base != name && slices.Contains(secrets, base)
		if !ours && !asFile && !slices.Contains(platformVariables, name) {
			t.Errorf("%s sets %s, which is neither in .env.example nor a variable of the platform", file, name)
		}
	}
}

// grace is how long serve lets running streams go on after SIGTERM.
func grace(t *testing.T) time.Duration {
	t.Helper()
	d, err := time.ParseDuration(settings(t)["SHUTDOWN_GRACE"])
	if err != nil {
		t.Fatalf("SHUTDOWN_GRACE in .env.example: %v", err)
	}
	return d
}

// wantLonger checks that a platform's patience outlasts ours, with time to spare
// for the last events: else SIGKILL cuts the streams that SIGTERM spared.
func wantLonger(t *testing.T, what string, patience time.Duration) {
	t.Helper()
	if least := grace(t) + 3*time.Second; patience < least {
		t.Errorf("%s is %v, want at least %v (SHUTDOWN_GRACE and 3 s)", what, patience, least)
	}
}

// wantNoSecret fails when a file holds what looks like a secret's value.
func wantNoSecret(t *testing.T, file string) {
	t.Helper()
	if hit := regexp.MustCompile(`sk-[A-Za-z0-9_-]{8,}|eyJ[A-Za-z0-9_-]{20,}`).FindString(read(t, file)); hit != "" {
		t.Errorf("%s holds what looks like a secret: %.8s…", file, hit)
	}
}
