package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"keyshield/internal/admin"
	"keyshield/internal/audit"
)

// lastActs is how many of a list stand on the screen: the newest.
const lastActs = 8

// show tells the summary on one screen: first what is wrong now, then what happened.
func (s *summary) show(to io.Writer, now time.Time, server string) error {
	var w strings.Builder
	source := "from the running server"
	if !s.Running {
		source = "from its files; no server runs"
	}
	fmt.Fprintf(&w, "From %s to %s UTC, %s\n\n", s.From.Format("2006-01-02 15:04"), s.To.Format("2006-01-02 15:04"), source)
	s.wrong(&w)
	s.traffic(&w)
	s.money(&w)
	s.ranking(&w)
	s.list(&w, "Disabled and enabled", s.Switches)
	if len(s.Stopped) > 0 {
		fmt.Fprintln(&w)
		tellStopped(&w, s.Stopped, server)
	}
	s.list(&w, "Keys for OpenAI", s.Keys)
	s.list(&w, "Unusual", s.Unusual)
	s.list(&w, "By an operator", s.Acts)
	s.program(&w, now)
	_, err := io.WriteString(to, w.String())
	return err
}

// wrong is what somebody must look at, each with what to do.
func (s *summary) wrong(w io.Writer) {
	var all []string
	if s.Overview != nil {
		all = append(all, s.Overview.Degraded...)
	}
	if s.NoLog {
		all = append(all, "There is no audit log here yet: a server that runs writes one.")
	}
	if s.Lost > 0 {
		all = append(all, count64s(s.Lost, "record")+" of the audit log could not be written, and are missing below. Look at the disk of DATA_DIR.")
	}
	if s.Unreadable > 0 {
		all = append(all, count(s.Unreadable, "line")+" of the audit log cannot be read and may be missing below: keyshield audit verify names the first.")
	}
	if s.Crashes > 0 {
		all = append(all, fmt.Sprintf("The server ended %s without a word (a crash, kill -9, a lost machine).", often(s.Crashes)))
	}
	if r := s.Reconcile; r != nil && r.Verdict == admin.KeyUsedElsewhere {
		all = append(all, fmt.Sprintf("At %s OpenAI's books had %s more than went through here: the key is used elsewhere. keyshield rotate --incident", r.At.Format("2006-01-02 15:04"), r.Elsewhere))
	}
	if !s.Running {
		fmt.Fprint(w, "No server runs here.\n\n")
	}
	if len(all) == 0 {
		if s.Running {
			fmt.Fprint(w, "Nothing is wrong now.\n\n")
		}
		return
	}
	fmt.Fprintln(w, "LOOK AT THIS")
	for _, text := range all {
		fmt.Fprintf(w, "  %s\n", plainLine(text))
	}
	fmt.Fprintln(w)
}

func often(n int64) string {
	if n == 1 {
		return "once"
	}
	return count64(n) + " times"
}

// traffic is the requests by how they ended, and why.
func (s *summary) traffic(w io.Writer) {
	rows := [][]string{{"Requests", count64(s.Requests), "of " + count(s.Users, "user")}}
	for _, o := range []struct{ outcome, name string }{
		{audit.OK, "answered"}, {audit.Denied, "refused"}, {audit.Failed, "failed"}, {audit.ClientGone, "left by the client"}, {audit.Unknown, "cut off by a crash"},
	} {
		if n := s.Outcomes[o.outcome]; n > 0 || o.outcome == audit.OK {
			rows = append(rows, []string{"  " + o.name, count64(n), byCode(s.Codes[o.outcome])})
		}
	}
	strangers := int64(0)
	for _, n := range s.Strangers {
		strangers += n
	}
	if strangers > 0 {
		rows = append(rows, []string{"Strangers refused", count64(strangers), byCode(s.Strangers)})
	}
	writeCounted(w, rows)
}

// writeCounted aligns the second column to the right.
func writeCounted(w io.Writer, rows [][]string) {
	width := 0
	for _, row := range rows {
		width = max(width, len(row[1]))
	}
	for _, row := range rows {
		fmt.Fprintln(w, strings.TrimRight(fmt.Sprintf("%-20s %*s  %s", row[0], width, row[1], row[2]), " "))
	}
}

// byCode lists codes, the most frequent first.
func byCode(codes map[string]int64) string {
	names := slices.SortedFunc(maps.Keys(codes), func(a, b string) int { return cmp.Or(cmp.Compare(codes[b], codes[a]), cmp.Compare(a, b)) })
	for i, name := range names {
		names[i] = plainLine(name) + " " + count64(codes[name])
	}
	return strings.Join(names, ", ")
}

// money is what was spent in the time, and where the budgets stand now.
func (s *summary) money(w io.Writer) {
	fmt.Fprintf(w, "\nSpent in this time  %s", s.Proven+s.AtCeiling)
	if s.AtCeiling > 0 {
		fmt.Fprintf(w, ", of it %s at the ceiling, which nobody has proved", s.AtCeiling)
	}
	fmt.Fprintln(w)
	for _, a := range []struct {
		name string
		admin.Account
	}{{"today", s.Day}, {"month", s.Month}} {
		fmt.Fprintf(w, "  %s %-10s  %s", a.name, a.Window, a.Used)
		if a.Cap != nil {
			fmt.Fprintf(w, " of %s, %s left", *a.Cap, *a.Left)
		}
		if a.Open > 0 {
			fmt.Fprintf(w, "; %s held by calls under way", a.Open)
		}
		fmt.Fprintln(w)
	}
	if s.Overview != nil && s.Month.Used > 0 {
		fmt.Fprintf(w, "  at this pace %s a day, %s by the end of the month\n", rounded(s.Overview.Pace.PerDay), rounded(s.Overview.Pace.Month))
	}
}

// rounded is an estimate, which has no fractions of a cent unless it is less than
// one.
func rounded(n admin.NanoUSD) admin.NanoUSD {
	const cent = 10_000_000
	if n < cent {
		return n
	}
	return (n + cent/2) / cent * cent
}

// ranking lists who spent most, and who was refused most.
func (s *summary) ranking(w io.Writer) {
	if len(s.Spenders) > 0 {
		fmt.Fprintln(w)
		rows := [][]string{{"Spent most", "spent", "requests", "refused"}}
		for _, one := range s.Spenders {
			rows = append(rows, []string{"  " + one.name(), one.spent().String(), count64(one.Requests), count64(one.Refused)})
		}
		writeTable(w, rows)
	}
	if len(s.Refused) > 0 {
		fmt.Fprintln(w)
		rows := [][]string{{"Refused most", "refused", "requests", "spent"}}
		for _, one := range s.Refused {
			rows = append(rows, []string{"  " + one.name(), count64(one.Refused), count64(one.Requests), one.spent().String()})
		}
		writeTable(w, rows)
	}
}

func (s *spender) name() string { return printable(cmp.Or(s.ID, s.Key)) }

// list shows the newest of what was done.
func (s *summary) list(w io.Writer, title string, all []audit.Record) {
	if len(all) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s\n", title)
	if more := len(all) - lastActs; more > 0 {
		fmt.Fprintf(w, "  (%d earlier ones: keyshield audit --kind operator)\n", more)
		all = all[more:]
	}
	for _, r := range all {
		fmt.Fprintf(w, "  %s  %s", r.Time.UTC().Format("2006-01-02 15:04"), act(r))
		if r.By != "keyring" {
			fmt.Fprintf(w, "  (by %s)", printable(r.By))
		}
		fmt.Fprintln(w)
	}
}

// program is about the server itself: its starts, its keys, whom it tells.
func (s *summary) program(w io.Writer, now time.Time) {
	fmt.Fprintln(w)
	if s.Starts > 0 {
		fmt.Fprintf(w, "The server started %s.\n", often(s.Starts))
	}
	if o := s.Overview; o != nil {
		fmt.Fprintf(w, "It is keyshield %s and runs for %s", plainLine(o.Version), ago(now, o.Since))
		if o.Traffic.Added.Count > 0 {
			fmt.Fprintf(w, "; it adds %.2g ms to half of the requests and %.2g ms to one in a hundred", o.Traffic.Added.P50, o.Traffic.Added.P99)
		}
		fmt.Fprintln(w, ".")
		active, standby := 0, 0
		for _, k := range o.Keys {
			switch k.State {
			case "active":
				active++
			case "standby":
				standby++
			}
		}
		fmt.Fprintf(w, "Of %s for OpenAI %d is in use and %d stands by: keyshield keys\n", count(len(o.Keys), "key"), active, standby)
		if len(o.Alerts) == 0 {
			fmt.Fprintln(w, "Nobody is told when something is wrong: set ALERT_SLACK_URL, ALERT_WEBHOOK_URL or ALERT_SMTP_URL.")
		}
	}
	switch r := s.Reconcile; {
	case r == nil:
		fmt.Fprintln(w, "OpenAI's own books were never compared with these: keyshield reconcile")
	case r.Verdict == admin.Agrees:
		fmt.Fprintf(w, "OpenAI's own books were compared with these %s ago, and agreed.\n", ago(now, r.At))
	}
	fmt.Fprintln(w, "More: keyshield audit (each request), keyshield usage (each user and model), keyshield audit verify")
}
