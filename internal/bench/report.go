package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"
)

// report is the whole run, as it is written to the file.
type report struct {
	Began     time.Time  `json:"began"`
	Revision  string     `json:"revision,omitempty"` // of the source; "+" if it was changed since
	Go        string     `json:"go"`
	CPU       string     `json:"cpu"`
	Cores     int        `json:"cores"`
	Kernel    string     `json:"kernel"`
	Pinning   string     `json:"pinning"`
	Scenarios []*outcome `json:"scenarios"`
}

// outcome is one scenario's.
type outcome struct {
	Name    string    `json:"name"`
	Title   string    `json:"title"`
	Skipped string    `json:"skipped,omitempty"`
	Targets []*column `json:"targets"`
	Figures []figure  `json:"figures"`

	// Ratios are keyshield's figures divided by those of each other target.
	Ratios map[string]map[string]float64 `json:"ratios"`
}

// column is one target's.
type column struct {
	Name   string             `json:"name"`
	Notes  string             `json:"notes,omitempty"`
	Rounds []*result          `json:"rounds"`
	Median map[string]float64 `json:"median"`

	yardstick bool
}

func newReport(ctx context.Context) *report {
	return &report{
		Began:    time.Now().UTC().Truncate(time.Second),
		Revision: revision(ctx),
		Go:       runtime.Version(),
		CPU:      cpuModel(),
		Cores:    runtime.NumCPU(),
		Kernel:   kernel(),
		Pinning:  pinning,
	}
}

func newOutcome(s scenario) *outcome {
	o := &outcome{Name: s.Name, Title: s.Title, Figures: s.figures, Ratios: map[string]map[string]float64{}}
	for _, t := range s.targets {
		o.Targets = append(o.Targets, &column{Name: t.Name, Notes: t.Notes, yardstick: t.yardstick})
	}
	return o
}

func (c *column) add(r *result) { c.Rounds = append(c.Rounds, r) }

// conclude works out what needs all rounds: medians, what a proxy adds to the
// time of a request or a chunk, and the ratios. The first target has no proxy, the last is
// ours.
func (o *outcome) conclude() {
	for _, c := range o.Targets {
		var rounds []map[string]float64
		for _, r := range c.Rounds {
			rounds = append(rounds, r.Figures)
		}
		c.Median = medians(rounds)
		c.Median["errors"] = 0 // all of them: a median would hide a bad round
		for _, r := range c.Rounds {
			c.Median["errors"] += float64(r.Errors)
		}
	}
	bare, ours := o.Targets[0], o.Targets[len(o.Targets)-1]
	for _, c := range o.Targets[1:] {
		for _, p := range []string{"p50", "p99"} {
			for _, key := range []string{p, "delay_" + p} { // of requests, of chunks
				through, ok := c.Median[key]
				if without, also := bare.Median[key]; ok && also {
					c.Median["added_"+p] = through - without
				}
			}
		}
	}
	for _, c := range o.Targets[:len(o.Targets)-1] {
		o.Ratios[c.Name] = ratios(ours.Median, c.Median)
	}
}

// yardsticks are the targets between no proxy and ours.
func (o *outcome) yardsticks() []*column {
	if len(o.Targets) < 3 {
		return nil
	}
	return o.Targets[1 : len(o.Targets)-1]
}

// labelWidth keeps the first column to the left in a table of figures, which
// stand to the right.
const labelWidth = 32

// print writes the table: a column per target, and ours divided by each
// reverse proxy's.
func (o *outcome) print(w io.Writer) {
	fmt.Fprintf(w, "\n%s: %s\n", o.Name, o.Title)
	if o.Skipped != "" {
		fmt.Fprintf(w, "  not measured: %s\n", o.Skipped)
		return
	}
	fmt.Fprintf(w, "median of %s\n\n", rounds(len(o.Targets[0].Rounds)))
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	var head strings.Builder
	fmt.Fprintf(&head, "%-*s", labelWidth, "")
	for _, c := range o.Targets {
		head.WriteString("\t" + c.Name)
	}
	others := o.yardsticks()
	for i := range others {
		head.WriteString("\tratio")
		if len(others) > 1 {
			head.WriteString(" " + itoa(i+1))
		}
	}
	fmt.Fprintln(table, head.String()+"\taim\t")
	for _, f := range o.Figures {
		fmt.Fprintf(table, "%-*s", labelWidth, f.Label)
		for _, c := range o.Targets {
			fmt.Fprint(table, "\t"+cell(c.Median, f.Key, func(v float64) string { return amount(v, f.Unit) }))
		}
		for _, c := range others {
			text := ""
			if f.ratio {
				text = cell(o.Ratios[c.Name], f.Key, func(v float64) string { return fmt.Sprintf("%.2f", v) })
			}
			fmt.Fprint(table, "\t"+text)
		}
		fmt.Fprintln(table, "\t"+aim(f)+"\t")
	}
	table.Flush()
	o.explain(w)
}

func cell(figures map[string]float64, key string, write func(float64) string) string {
	value, ok := figures[key]
	if !ok {
		return "-"
	}
	return write(value)
}

func rounds(n int) string {
	if n == 1 {
		return "1 round"
	}
	return itoa(n) + " rounds"
}

func aim(f figure) string {
	switch {
	case f.Key == "errors":
		return "0"
	case f.Goal != "":
		return f.Goal
	case f.Aim > 0:
		return fmt.Sprintf("≤ %.2f", f.Aim)
	}
	return ""
}

// explain says what the reader of the table must know.
func (o *outcome) explain(w io.Writer) {
	fmt.Fprintln(w)
	others := o.yardsticks()
	for i, c := range others {
		number := ""
		if len(others) > 1 {
			number = " " + itoa(i+1)
		}
		fmt.Fprintf(w, "  ratio%s: keyshield / %s (%s)\n", number, c.Name, c.Notes)
	}
	ours := o.Targets[len(o.Targets)-1]
	fmt.Fprintf(w, "  %s: %s\n", ours.Name, ours.Notes)
	if total, ok := ours.Median["cpu_total"]; ok && tick.Seconds() > 0.005*total {
		fmt.Fprintf(w, "  rough: the kernel counts CPU time in steps of %v, here %.1f %% of what %s used\n", tick, 100*tick.Seconds()/total, ours.Name)
	}
	for _, c := range o.Targets {
		for _, r := range c.Rounds {
			for _, text := range r.First {
				fmt.Fprintf(w, "  error, %s: %s\n", c.Name, text)
			}
		}
	}
}

// print says where it was measured.
func (r *report) print(w io.Writer) {
	fmt.Fprintf(w, "\n%s, %d cores, %s, %s", r.CPU, r.Cores, r.Kernel, r.Go)
	if r.Revision != "" {
		fmt.Fprintf(w, ", revision %s", r.Revision)
	}
	fmt.Fprintf(w, "\nover loopback; %s\n", r.Pinning)
}

func (r *report) write(file string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o644)
}

// errors counts what broke, yardsticks apart.
func (r *report) errors() (n int) {
	for _, o := range r.Scenarios {
		for _, c := range o.Targets {
			if !c.yardstick {
				n += int(c.Median["errors"])
			}
		}
	}
	return n
}

// revision is what git says of the source; "" if there is no git.
func revision(ctx context.Context) string {
	head, err := exec.CommandContext(ctx, "git", "rev-parse", "--short=12", "HEAD").Output()
	if err != nil {
		return ""
	}
	text := string(bytes.TrimSpace(head))
	if changed, err := exec.CommandContext(ctx, "git", "status", "--porcelain").Output(); err != nil || len(changed) > 0 {
		text += "+"
	}
	return text
}

// modelName finds the processor's name in /proc/cpuinfo.
func modelName(info []byte) string {
	for line := range bytes.Lines(info) {
		if name, value, ok := bytes.Cut(line, []byte(":")); ok && string(bytes.TrimSpace(name)) == "model name" {
			return string(bytes.TrimSpace(value))
		}
	}
	return "unknown"
}
