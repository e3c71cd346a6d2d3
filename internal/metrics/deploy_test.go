package metrics_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"gopkg.in/yaml.v3"

	"keyshield/internal/metrics"
)

// A rule about a series that is not there never fires, and nobody notices. So
// every name, label and value in deploy is looked up in a scrape of a server that
// has seen some traffic.

// shown is what a server shows: series → label → values.
type shown map[string]map[string][]string

func serverSeries(t *testing.T) shown {
	t.Helper()
	m := metrics.New(options())
	m.Request(answered())
	m.Request(refused("rate_limited"))
	text, _ := get(t, m, "text/plain")
	found := shown{"up": {}} // Prometheus' own
	for name, family := range families(t, text) {
		names := []string{name}
		if family.GetType() == dto.MetricType_HISTOGRAM {
			names = []string{name + "_bucket", name + "_sum", name + "_count"}
		}
		for _, name := range names {
			found[name] = map[string][]string{}
			if strings.HasSuffix(name, "_bucket") {
				found[name]["le"] = nil
			}
			for _, metric := range family.Metric {
				for _, l := range metric.Label {
					found[name][l.GetName()] = append(found[name][l.GetName()], l.GetValue())
				}
			}
		}
	}
	for name := range found {
		found[name]["job"], found[name]["instance"] = []string{"keyshield"}, []string{"keyshield:3000"} // Prometheus adds them
	}
	return found
}

// check looks up everything that expr names, and returns the labels its series have.
func (s shown) check(t *testing.T, where, expr string) (labels []string) {
	t.Helper()
	q, err := parsePromQL(expr)
	if err != nil {
		t.Errorf("%s: %v", where, err)
		return nil
	}
	for _, sel := range q.selectors {
		has, ok := s[sel.name]
		if !ok {
			if !strings.HasPrefix(sel.name, "process_") || runtime.GOOS == "linux" {
				t.Errorf("%s: there is no series %s", where, sel.name)
			}
			continue
		}
		labels = slices.AppendSeq(labels, maps.Keys(has))
		for _, m := range sel.matchers {
			if values, ok := has[m.label]; !ok || !m.matches(t, values) {
				t.Errorf("%s: no %s has %s%s%q; there are %q", where, sel.name, m.label, m.op, m.value, values)
			}
		}
	}
	for _, label := range q.labels {
		if !slices.Contains(labels, label) {
			t.Errorf("%s: no series of it has the label %s", where, label)
		}
	}
	return labels
}

// matches reports whether some of values do; each part of a|b must, too.
func (m matcher) matches(t *testing.T, values []string) bool {
	t.Helper()
	if !strings.HasSuffix(m.op, "~") {
		return slices.Contains(values, m.value)
	}
	for part := range strings.SplitSeq(m.value, "|") {
		re, err := regexp.Compile("^(?:" + part + ")$")
		if err != nil || !slices.ContainsFunc(values, re.MatchString) {
			return false
		}
	}
	return true
}

// mentioned are the labels in "{{ $labels.x }}" or "{{x}}".
var mentioned = regexp.MustCompile(`\{\{\s*(?:\$labels\.)?([a-z_]+)\s*\}\}`)

func wantLabels(t *testing.T, where, text string, has []string) {
	t.Helper()
	for _, m := range mentioned.FindAllStringSubmatch(text, -1) {
		if !slices.Contains(has, m[1]) {
			t.Errorf("%s: %q names the label %s, which is not there", where, text, m[1])
		}
	}
}

type rulesFile struct {
	Groups []struct {
		Name  string
		Rules []struct {
			Alert, Expr, For    string
			Labels, Annotations map[string]string
		}
	}
}

func TestAlertRulesNameWhatIsThere(t *testing.T) {
	var file rulesFile
	dec := yaml.NewDecoder(strings.NewReader(readDeploy(t, "prometheus/alerts.yaml")))
	dec.KnownFields(true) // Prometheus refuses unknown ones, too
	if err := dec.Decode(&file); err != nil {
		t.Fatal(err)
	}
	there, seen := serverSeries(t), map[string]bool{}
	for _, group := range file.Groups {
		for _, rule := range group.Rules {
			if rule.Alert == "" || seen[rule.Alert] {
				t.Errorf("%s: an alert without a name of its own: %q", group.Name, rule.Alert)
			}
			seen[rule.Alert] = true
			labels := there.check(t, rule.Alert, rule.Expr)
			if rule.For != "" && !regexp.MustCompile(`^[0-9]+[smhd]$`).MatchString(rule.For) {
				t.Errorf("%s: for %q", rule.Alert, rule.For)
			}
			if !slices.Contains([]string{"warning", "critical"}, rule.Labels["severity"]) {
				t.Errorf("%s: severity %q", rule.Alert, rule.Labels["severity"])
			}
			for _, about := range []string{"summary", "description"} {
				if rule.Annotations[about] == "" {
					t.Errorf("%s has no %s: whoever is woken must learn what to do", rule.Alert, about)
				}
				wantLabels(t, rule.Alert, rule.Annotations[about], labels)
			}
		}
	}
	if len(seen) < 10 {
		t.Errorf("%d rules: does the test still understand the file?", len(seen))
	}
}

type dashboard struct {
	UID, Title    string
	SchemaVersion int
	Templating    struct {
		List []struct {
			Name, Type string
			Datasource source
			Definition string
		}
	}
	Panels []panel
}

type source struct{ Type, UID string }

type panel struct {
	ID          int
	Type, Title string
	Datasource  source
	GridPos     struct{ X, Y, W, H int }
	Targets     []struct{ RefID, Expr, LegendFormat string }
}

func TestTheDashboardNamesWhatIsThere(t *testing.T) {
	d, there := readDashboard(t), serverSeries(t)
	fill := strings.NewReplacer("$__rate_interval", "5m", "$__range", "6h", "$job", "keyshield", "$instance", ".*")
	targets := 0
	for _, p := range d.Panels {
		if p.Type == "row" {
			continue
		}
		if len(p.Targets) == 0 {
			t.Errorf("%s shows nothing", p.Title)
		}
		if p.Datasource != (source{"prometheus", "${datasource}"}) {
			t.Errorf("%s reads from %+v: it works only where it was made", p.Title, p.Datasource)
		}
		for _, target := range p.Targets {
			targets++
			labels := there.check(t, p.Title, fill.Replace(target.Expr))
			wantLabels(t, p.Title, target.LegendFormat, labels)
			if strings.Count(target.Expr, `job=~"$job",instance=~"$instance"`) != strings.Count(target.Expr, "{") {
				t.Errorf("%s: not every series of %s is of the chosen job and instance", p.Title, target.Expr)
			}
		}
	}
	if targets < 30 {
		t.Errorf("%d expressions: does the test still understand the file?", targets)
	}
	values := regexp.MustCompile(`^label_values\((.+), ([a-z]+)\)$`)
	for _, v := range d.Templating.List {
		if v.Type == "query" {
			m := values.FindStringSubmatch(v.Definition)
			if m == nil {
				t.Fatalf("variable %s: %q", v.Name, v.Definition)
			}
			if !slices.Contains(there.check(t, v.Name, fill.Replace(m[1])), m[2]) {
				t.Errorf("variable %s: no label %s", v.Name, m[2])
			}
		}
	}
}

func TestEverySeriesOfOursIsOnTheDashboardOrInARule(t *testing.T) {
	all := readDeploy(t, "grafana/keyshield.json") + readDeploy(t, "prometheus/alerts.yaml")
	readme := readDeploy(t, "prometheus/README.md")
	for name := range serverSeries(t) {
		if strings.HasSuffix(name, "_sum") || strings.HasSuffix(name, "_count") || !strings.HasPrefix(name, "keyshield_") {
			continue
		}
		if !strings.Contains(all, name) {
			t.Errorf("nobody looks at %s", name)
		}
		if !strings.Contains(readme, "`"+strings.TrimSuffix(name, "_bucket")) {
			t.Errorf("deploy/prometheus/README.md does not say what %s is", name)
		}
	}
}

func TestTheDashboardCanBeImported(t *testing.T) {
	d := readDashboard(t)
	if d.UID != "keyshield" || d.SchemaVersion < 39 { // 39 is Grafana 11
		t.Errorf("uid %q, schema %d", d.UID, d.SchemaVersion)
	}
	if len(d.Templating.List) == 0 || d.Templating.List[0].Type != "datasource" {
		t.Error("the data source cannot be chosen")
	}
	types := []string{"row", "stat", "gauge", "timeseries", "state-timeline", "table"}
	ids, taken := map[int]bool{}, map[[2]int]string{}
	for _, p := range d.Panels {
		if ids[p.ID] || p.ID == 0 || !slices.Contains(types, p.Type) || p.Title == "" {
			t.Errorf("panel %d %q of type %s", p.ID, p.Title, p.Type)
		}
		ids[p.ID] = true
		g := p.GridPos
		if g.W < 1 || g.H < 1 || g.X < 0 || g.X+g.W > 24 {
			t.Errorf("%s stands at %+v, and the grid is 24 wide", p.Title, g)
		}
		for x := g.X; x < g.X+g.W; x++ {
			for y := g.Y; y < g.Y+g.H; y++ {
				if other := taken[[2]int{x, y}]; other != "" {
					t.Fatalf("%s stands on %s", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
	}
}

func readDashboard(t *testing.T) (d dashboard) {
	t.Helper()
	if err := json.Unmarshal([]byte(readDeploy(t, "grafana/keyshield.json")), &d); err != nil {
		t.Fatal(err)
	}
	return d
}

func readDeploy(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "deploy", filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
