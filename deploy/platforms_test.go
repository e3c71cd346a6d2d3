package deploy_test

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"
)

// decode reads a YAML file into v; a field that v lacks is an error, so that a
// misspelt key cannot pass unread.
func decode(t *testing.T, file string, v any) {
	t.Helper()
	d := yaml.NewDecoder(strings.NewReader(read(t, file)))
	d.KnownFields(true)
	if err := d.Decode(v); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
}

type composeFile struct {
	Name     string
	Services map[string]composeService
	Secrets  map[string]struct{ File string }
	Networks map[string]struct {
		IPAM struct{ Config []struct{ Subnet string } }
	}
	Volumes map[string]any
}

type composeService struct {
	Image           string
	Build           struct{ Context, Dockerfile string }
	Environment     map[string]string
	Secrets         []string
	Ports           []string
	Volumes         []string
	Networks        []string
	Restart         string
	StopGracePeriod string   `yaml:"stop_grace_period"`
	ReadOnly        bool     `yaml:"read_only"`
	CapDrop         []string `yaml:"cap_drop"`
	CapAdd          []string `yaml:"cap_add"`
	SecurityOpt     []string `yaml:"security_opt"`
	Ulimits         map[string]int
	Logging         struct {
		Driver  string
		Options map[string]string
	}
}

func compose(t *testing.T) (file composeFile) {
	t.Helper()
	decode(t, "compose.yaml", &file)
	return file
}

func TestComposePublishesNothingButCaddy(t *testing.T) {
	file := compose(t)
	if ports := file.Services["keyshield"].Ports; len(ports) > 0 {
		t.Errorf("keyshield publishes %v: it speaks plain HTTP, so tokens would cross the network in the clear", ports)
	}
	want := []string{"80:80", "443:443", "443:443/udp"}
	if got := file.Services["caddy"].Ports; !slices.Equal(got, want) {
		t.Errorf("caddy publishes %v, want %v", got, want)
	}
}

func TestComposeTakesEveryPrivilegeAway(t *testing.T) {
	for name, s := range compose(t).Services {
		if !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) || !slices.Contains(s.SecurityOpt, "no-new-privileges:true") {
			t.Errorf("%s: want read_only, cap_drop ALL and no-new-privileges, got %+v", name, s)
		}
		if s.Logging.Options["max-size"] == "" {
			t.Errorf("%s: its log may fill the disk", name)
		}
	}
	if added := compose(t).Services["keyshield"].CapAdd; len(added) > 0 {
		t.Errorf("keyshield is given %v, and needs none", added)
	}
}

// TestComposeKeepsTheLedgerOnANamedVolume: a folder of the container would be gone
// with the next update, and every budget with it.
func TestComposeKeepsTheLedgerOnANamedVolume(t *testing.T) {
	file := compose(t)
	s := file.Services["keyshield"]
	dir := s.Environment["DATA_DIR"]
	wantDataDir(t, "compose.yaml", dir)
	i := slices.IndexFunc(s.Volumes, func(v string) bool { return strings.HasSuffix(v, ":"+dir) })
	if i < 0 {
		t.Fatalf("nothing is mounted at DATA_DIR=%s: %v", dir, s.Volumes)
	}
	name, _, _ := strings.Cut(s.Volumes[i], ":")
	if _, named := file.Volumes[name]; !named {
		t.Errorf("%s is not one of the volumes %v", name, slices.Sorted(maps.Keys(file.Volumes)))
	}
}

// wantDataDir insists on the folder that the image has for it, which its user owns:
// a volume mounted there may be written.
func wantDataDir(t *testing.T, file, dir string) {
	t.Helper()
	if made := imageEnv(t)["DATA_DIR"]; dir != made || dir == "" {
		t.Errorf("%s: DATA_DIR is %q, and the image's user owns %q", file, dir, made)
	}
}

func TestComposeTrustsItsOwnNetworkOnly(t *testing.T) {
	file := compose(t)
	subnet := file.Networks["inside"].IPAM.Config[0].Subnet
	if trusted := file.Services["keyshield"].Environment["TRUSTED_PROXY"]; trusted != subnet || subnet == "" {
		t.Errorf("TRUSTED_PROXY is %q and the network %q: they must be the same, or every client shares one address, or anyone may claim any", trusted, subnet)
	}
	if !regexp.MustCompile(`\d+\.\d+\.\d+\.\d+/\d+`).MatchString(subnet) {
		t.Errorf("the network %q is not pinned", subnet)
	}
}

func TestComposeHandsSecretsOverAsFiles(t *testing.T) {
	file := compose(t)
	env := file.Services["keyshield"].Environment
	for _, name := range secrets {
		if _, plain := env[name]; plain {
			t.Errorf("%s stands in the environment: docker inspect shows it to everyone", name)
		}
		mounted := strings.TrimPrefix(env[name+"_FILE"], "/run/secrets/")
		if !slices.Contains(file.Services["keyshield"].Secrets, mounted) {
			t.Errorf("%s_FILE is %q, which is not one of the service's secrets", name, env[name+"_FILE"])
		}
		// .gitignore keeps /secrets/ out of the history.
		if at := file.Secrets[mounted].File; !strings.HasPrefix(at, "../secrets/") {
			t.Errorf("the secret %s is read from %q, want a file in ../secrets/, which git ignores", mounted, at)
		}
	}
	if !slices.Contains(strings.Split(read(t, "../.gitignore"), "\n"), "/secrets/") {
		t.Error(".gitignore does not keep /secrets/ out")
	}
}

// TestComposeTellsSlackOnceItsLinesAreIn: whoever takes the # away has a file in which
// the address reaches the server like every other secret.
func TestComposeTellsSlackOnceItsLinesAreIn(t *testing.T) {
	text := regexp.MustCompile(`(?m)^( *)# ((?:- |  file: \.\./secrets/)?alert_slack_url:?|ALERT_SLACK_URL_FILE: .*)$`).ReplaceAllString(read(t, "compose.yaml"), "$1$2")
	var file composeFile
	if err := yaml.Unmarshal([]byte(text), &file); err != nil {
		t.Fatal(err)
	}
	s := file.Services["keyshield"]
	const name = "alert_slack_url"
	if at := s.Environment["ALERT_SLACK_URL_FILE"]; at != "/run/secrets/"+name || !slices.Contains(s.Secrets, name) || file.Secrets[name].File != "../secrets/"+name {
		t.Errorf("ALERT_SLACK_URL_FILE is %q, the service has %v, and the secret is read from %q", at, s.Secrets, file.Secrets[name].File)
	}
}

func TestComposeLetsStreamsEnd(t *testing.T) {
	for name, s := range compose(t).Services {
		d, err := time.ParseDuration(s.StopGracePeriod)
		if err != nil {
			t.Errorf("%s: stop_grace_period: %v", name, err)
		}
		wantLonger(t, "stop_grace_period of "+name, d)
	}
	m := regexp.MustCompile(`(?m)^\tgrace_period (\S+)$`).FindStringSubmatch(read(t, "Caddyfile"))
	if m == nil {
		t.Fatal("the Caddyfile has no grace_period: without one Caddy waits for streams until it is killed")
	}
	d, err := time.ParseDuration(m[1])
	if err != nil {
		t.Fatal(err)
	}
	wantLonger(t, "grace_period of the Caddyfile", d)
	if stop, _ := time.ParseDuration(compose(t).Services["caddy"].StopGracePeriod); stop <= d {
		t.Errorf("compose kills caddy after %v, before its grace_period of %v is over", stop, d)
	}
}

// TestStoppingDoesNotTakeCaddyFirst: compose stops what depends on a service
// before the service itself, and Caddy would cut the streams that keyshield is
// about to end with an event.
func TestStoppingDoesNotTakeCaddyFirst(t *testing.T) {
	if strings.Contains(regexp.MustCompile(`(?m)#.*$`).ReplaceAllString(read(t, "compose.yaml"), ""), "depends_on") {
		t.Error("compose.yaml says depends_on")
	}
}

func TestCaddyfileNamesThePortOfTheImage(t *testing.T) {
	if want := "{$UPSTREAM:keyshield:" + settings(t)["PORT"] + "}"; !strings.Contains(read(t, "Caddyfile"), want) {
		t.Errorf("the Caddyfile does not proxy to %s", want)
	}
}

type renderFile struct {
	Services []struct {
		Type, Name, Runtime, Plan string
		DockerfilePath            string `yaml:"dockerfilePath"`
		DockerContext             string `yaml:"dockerContext"`
		HealthCheckPath           string `yaml:"healthCheckPath"`
		MaxShutdownDelaySeconds   int    `yaml:"maxShutdownDelaySeconds"`
		NumInstances              int    `yaml:"numInstances"`
		Disk                      struct {
			Name      string
			MountPath string `yaml:"mountPath"`
			SizeGB    int    `yaml:"sizeGB"`
		}
		EnvVars []struct {
			Key           string
			Value         *string
			Sync          *bool
			GenerateValue bool `yaml:"generateValue"`
		} `yaml:"envVars"`
	}
}

func TestRenderBuildsOurImageAndAsksForSecrets(t *testing.T) {
	var file renderFile
	decode(t, "render.yaml", &file)
	s := file.Services[0]
	if s.Type != "web" || s.Runtime != "docker" || s.DockerContext != "." || s.NumInstances != 1 {
		t.Errorf("the service is %+v", s)
	}
	if _, err := os.Stat("../" + s.DockerfilePath); err != nil {
		t.Errorf("dockerfilePath: %v", err)
	}
	if s.HealthCheckPath != "/livez" {
		t.Errorf("healthCheckPath is %s, want /livez: a fault elsewhere must not make Render restart us in a loop", s.HealthCheckPath)
	}
	if s.MaxShutdownDelaySeconds > 300 {
		t.Errorf("maxShutdownDelaySeconds is %d, Render allows 300", s.MaxShutdownDelaySeconds)
	}
	wantLonger(t, "maxShutdownDelaySeconds", time.Duration(s.MaxShutdownDelaySeconds)*time.Second)

	values := map[string]string{}
	for _, v := range s.EnvVars {
		if v.GenerateValue != (v.Key == "ADMIN_TOKEN") {
			t.Errorf("%s: generateValue is %v; Render makes up the operator's token, and nothing that others must know too", v.Key, v.GenerateValue)
		}
		if v.Value == nil && !v.GenerateValue && (v.Sync == nil || *v.Sync) {
			t.Errorf("%s has neither a value nor sync: false", v.Key)
			continue
		}
		values[v.Key] = ""
		if v.Value != nil {
			values[v.Key] = *v.Value
		}
	}
	wantPlatformSettings(t, "render.yaml", "render", values)
	if s.Disk.MountPath != values["DATA_DIR"] || s.Disk.Name == "" || s.Disk.SizeGB < 1 {
		t.Errorf("the disk is %+v and DATA_DIR %q: what was spent would be gone with every deploy", s.Disk, values["DATA_DIR"])
	}
}

var (
	tsComment = regexp.MustCompile(`(?m)//.*$`)
	tsEnv     = regexp.MustCompile(`(?s)\benv: \{(.*?)\n    \},`)
	tsSetting = regexp.MustCompile(`^\s*([A-Z][A-Z0-9_]*): ("([^"]*)"|preserve\(\)),$`)
)

// TestRailwayCodeDeploysOurImage reads the TypeScript by its words: the compiler
// for it is not ours to ask for. What it looks for is Railway's documented form.
func TestRailwayCodeDeploysOurImage(t *testing.T) {
	code := tsComment.ReplaceAllString(read(t, "railway/railway.ts"), "")
	for _, want := range []string{
		`import { defineRailway, preserve, project, service, volume } from "railway/iac";`,
		"export default defineRailway(", "return project(", "resources: [keyshield, ledger]", `const ledger = volume("ledger", {`,
		`builder: "DOCKERFILE"`, `dockerfilePath: "deploy/Dockerfile"`, `healthcheck: "/readyz"`, "replicas: 1",
	} {
		if !strings.Contains(code, want) {
			t.Errorf("railway.ts does not say %s", want)
		}
	}
	for open, end := range map[string]string{"{": "}", "(": ")", "[": "]"} {
		if strings.Count(code, open) != strings.Count(code, end) {
			t.Errorf("railway.ts has %d %s and %d %s", strings.Count(code, open), open, strings.Count(code, end), end)
		}
	}
	env := tsEnv.FindStringSubmatch(code)
	if env == nil {
		t.Fatal("railway.ts sets no env")
	}
	values := map[string]string{}
	for line := range strings.Lines(env[1]) {
		if strings.TrimSpace(line) == "" {
			continue
		}
		m := tsSetting.FindStringSubmatch(strings.TrimRight(line, "\n"))
		if m == nil {
			t.Fatalf("railway.ts: cannot read the setting %q", line)
		}
		values[m[1]] = m[3]
	}
	seconds, err := strconv.Atoi(values["RAILWAY_DEPLOYMENT_DRAINING_SECONDS"])
	if err != nil {
		t.Fatalf("RAILWAY_DEPLOYMENT_DRAINING_SECONDS: %v; Railway's default is 0", err)
	}
	wantLonger(t, "RAILWAY_DEPLOYMENT_DRAINING_SECONDS", time.Duration(seconds)*time.Second)
	wantPlatformSettings(t, "railway.ts", "railway", values)
	if mount := fmt.Sprintf("%q: ledger,", values["DATA_DIR"]); !strings.Contains(code, mount) {
		t.Errorf("railway.ts does not mount the volume at DATA_DIR: no %s", mount)
	}
	if values["RAILWAY_RUN_UID"] != "0" {
		t.Errorf("RAILWAY_RUN_UID is %q, want 0: Railway mounts a volume for root, and the image's user could not write it", values["RAILWAY_RUN_UID"])
	}
}

// wantPlatformSettings checks what every hosted platform must say: whom to trust
// for a client's address, and that secrets are asked for, never written down.
func wantPlatformSettings(t *testing.T, file, mode string, values map[string]string) {
	t.Helper()
	wantKnown(t, file, slices.Sorted(maps.Keys(values)))
	wantNoSecret(t, strings.Replace(file, "railway.ts", "railway/railway.ts", 1))
	if values["TRUSTED_PROXY"] != mode {
		t.Errorf("%s: TRUSTED_PROXY is %q, want %s: without it all the world shares one limit", file, values["TRUSTED_PROXY"], mode)
	}
	for _, name := range append([]string{"ALLOWED_ORIGINS", "ALERT_SLACK_URL"}, secrets...) {
		if value, named := values[name]; !named || value != "" {
			t.Errorf("%s: %s is %q (named: %v), want it asked for", file, name, value, named)
		}
	}
	wantDataDir(t, file, values["DATA_DIR"])
	if _, set := values["LEDGER_EPHEMERAL"]; set {
		t.Errorf("%s accepts that budgets are forgotten: that is for the operator to say", file)
	}
	if _, set := values["PORT"]; set {
		t.Errorf("%s sets PORT, which is the platform's own", file)
	}
}

func TestEverySettingNamedHereExists(t *testing.T) {
	wantKnown(t, "compose.yaml", slices.Sorted(maps.Keys(compose(t).Services["keyshield"].Environment)))
	used := regexp.MustCompile(`\$\{([A-Z_]+)`)
	for _, file := range []string{"compose.yaml", "Caddyfile"} {
		var names []string
		text := strings.ReplaceAll(read(t, file), "{$", "${")
		for _, m := range used.FindAllStringSubmatch(text, -1) {
			names = append(names, m[1])
		}
		wantKnown(t, file, names)
	}
	var inReadme []string
	for _, m := range regexp.MustCompile("`([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)`").FindAllStringSubmatch(read(t, "README.md"), -1) {
		inReadme = append(inReadme, m[1])
	}
	wantKnown(t, "README.md", inReadme)
}
