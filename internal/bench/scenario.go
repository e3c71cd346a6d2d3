package main

import (
	"strings"
	"time"

	"keyshield/internal/sim"
)

// scenario is one kind of load, and a table of the report.
type scenario struct {
	Name    string
	Title   string
	Rounds  int
	targets []target
	figures []figure

	behaviour sim.Behaviour // of the simulator
	prompt    string
	load      plan       // without what depends on the target
	ledger    ledgerPlan // of the ledger alone
	seeing    seeingPlan // of audit, metrics and watch alone
}

// figure is a row of a table.
type figure struct {
	Key   string  `json:"key"`
	Label string  `json:"label"`
	Unit  string  `json:"unit"`
	Aim   float64 `json:"aim,omitempty"`  // what the ratio should not exceed; 0: no ratio is aimed at
	Goal  string  `json:"goal,omitempty"` // what the figure itself should be
	ratio bool    // worth comparing
}

// answerText is a short answer, as a front end gets it.
const answerText = "Bread rises because yeast eats the sugar in the flour and gives off carbon dioxide. The gluten in the dough " +
	"holds the gas in small bubbles, so the loaf grows. In the oven the bubbles swell once more before the crust sets, and " +
	"what was a heavy lump becomes something light enough to tear by hand."

const (
	prompt = "Why does bread rise? Answer for a child of ten, in three sentences and without any chemistry."
	pace   = 500 * time.Millisecond
)

// scenarios are all there are. Short ones show that the benchmark works.
func scenarios(short bool) []scenario {
	if short {
		return []scenario{
			requests(1, 500, 6_000),
			oneByOne(1, 200, 500),
			ledgerAlone(1, 20_000),
			seeingAlone(1, 20_000),
			streams(1, 300, time.Second, time.Second, 3*time.Second),
			relayed(1, 300, time.Second, time.Second, 3*time.Second),
		}
	}
	return []scenario{
		requests(5, 5_000, 40_000),
		oneByOne(5, 1_000, 5_000),
		ledgerAlone(5, 100_000),
		seeingAlone(5, 100_000),
		streams(3, 1_000, 3*time.Second, 3*time.Second, 10*time.Second),
		relayed(3, 1_000, 3*time.Second, 3*time.Second, 10*time.Second),
		streams(3, 5_000, 10*time.Second, 5*time.Second, 10*time.Second),
	}
}

// requests is the load of short questions: ask, wait for the answer, ask again.
func requests(rounds, warm, count int) scenario {
	const connections = 64
	return scenario{
		Name:      "requests",
		Title:     "short JSON requests, " + grouped(connections) + " connections, " + grouped(count) + " requests a round",
		Rounds:    rounds,
		targets:   []target{direct(), reverse(), reverseWarm(), keyshield()},
		behaviour: sim.Behaviour{Text: answerText},
		prompt:    prompt,
		load: plan{
			Users:       connections,
			Connections: connections,
			Warm:        warm,
			Count:       count,
		},
		figures: []figure{
			{Key: "requests_per_s", Label: "requests a second", Unit: "/s", ratio: true},
			{Key: "p50", Label: "time to the answer, p50", Unit: "us", ratio: true},
			{Key: "p99", Label: "time to the answer, p99", Unit: "us", ratio: true},
			{Key: "cpu", Label: "CPU of the proxy per request", Unit: "us", Aim: 1, ratio: true},
			{Key: "cpu_user", Label: "  of it in user mode", Unit: "us", ratio: true},
			{Key: "rss_peak", Label: "memory of the proxy, peak", Unit: "MiB", ratio: true},
			{Key: "proxy_busy", Label: "core of the proxy in use", Unit: "%"},
			{Key: "others_busy", Label: "cores of simulator and load", Unit: "%"},
			{Key: "errors", Label: "errors"},
		},
	}
}

// oneByOne is a single client: what a proxy adds when nothing waits for it.
func oneByOne(rounds, warm, count int) scenario {
	s := requests(rounds, warm, count)
	s.Name = "one-by-one"
	s.Title = "short JSON requests, 1 connection, " + grouped(count) + " requests a round"
	s.load.Users, s.load.Connections = 1, 1
	s.figures = []figure{
		{Key: "p50", Label: "time to the answer, p50", Unit: "us", ratio: true},
		{Key: "p99", Label: "time to the answer, p99", Unit: "us", ratio: true},
		{Key: "added_p50", Label: "added by the proxy, p50", Unit: "us", ratio: true},
		{Key: "added_p99", Label: "added by the proxy, p99", Unit: "us", ratio: true},
		{Key: "cpu", Label: "CPU of the proxy per request", Unit: "us", ratio: true},
		{Key: "errors", Label: "errors"},
	}
	return s
}

// streams is the load of many open streams, each saying something twice a
// second. They begin spread over ramp; the figures per chunk are those of the
// window, in which no stream begins or ends.
func streams(rounds, count int, ramp, settle, window time.Duration) scenario {
	chunks := int((ramp+settle+window+time.Second)/pace) + 1
	return scenario{
		Name:      "streams-" + itoa(count),
		Title:     grouped(count) + " concurrent streams, 2 chunks a second each",
		Rounds:    rounds,
		targets:   []target{direct(), reverse(), keyshield()},
		behaviour: sim.Behaviour{Text: strings.Repeat(placeholder, chunks), Bytes: len(placeholder), Pace: pace},
		prompt:    prompt,
		load: plan{
			Users:   (count + 4) / 5, // five streams to a user, which is keyshield's default limit
			Streams: count,
			Chunks:  chunks,
			Warm:    500,
			Ramp:    ramp,
			Settle:  settle,
			Window:  window,
		},
		figures: []figure{
			{Key: "first_p50", Label: "time to the first token, p50", Unit: "us", ratio: true},
			{Key: "first_p99", Label: "time to the first token, p99", Unit: "us", ratio: true},
			{Key: "added_p50", Label: "added delay of a chunk, p50", Unit: "us"},
			{Key: "added_p99", Label: "added delay of a chunk, p99", Unit: "us"},
			{Key: "cpu", Label: "CPU of the proxy per chunk", Unit: "us", Aim: 1, ratio: true},
			{Key: "cpu_user", Label: "  of it in user mode", Unit: "us", ratio: true},
			{Key: "memory", Label: "memory of the proxy per stream", Unit: "KiB", Aim: 1, ratio: true},
			{Key: "rss_peak", Label: "memory of the proxy, peak", Unit: "MiB", ratio: true},
			{Key: "chunks_per_s", Label: "chunks a second", Unit: "/s"},
			{Key: "proxy_busy", Label: "core of the proxy in use", Unit: "%"},
			{Key: "others_busy", Label: "cores of simulator and load", Unit: "%"},
			{Key: "errors", Label: "errors"},
		},
	}
}

// relayed is the same load through the OpenAI-compatible API: the events pass as
// they are, and are longer than the text API's.
func relayed(rounds, count int, ramp, settle, window time.Duration) scenario {
	s := streams(rounds, count, ramp, settle, window)
	s.Name = "relay-" + itoa(count)
	s.Title = grouped(count) + " concurrent streams of /v1/chat/completions, 2 chunks a second each"
	s.targets = []target{direct(), reverse(), relay()}
	for i := range s.figures {
		switch f := &s.figures[i]; f.Key {
		case "cpu":
			f.Aim = 1.1
		case "memory":
			f.Aim = 1.2
		}
	}
	return s
}
