package ledgertest

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyshield/internal/ledger"
	"keyshield/internal/money"
)

func (b *bench) people(q ledger.PeopleQuery) ([]ledger.Person, int) {
	b.Helper()
	if err := b.ledger.Flush(context.Background()); err != nil {
		b.Fatal(err)
	}
	page, total, err := b.ledger.People(context.Background(), q)
	if err != nil {
		b.Fatalf("people %+v: %v", q, err)
	}
	return page, total
}

// crowd spends: yesterday and today, each on their own.
func (b *bench) crowd() {
	b.settle(b.send("left", 10, uncapped()), 10)
	b.clock.Pass(31 * 24 * time.Hour) // another month
	b.settle(b.send("ana", 90, uncapped()), 90)
	b.settle(b.send("ben", 50, uncapped()), 50)
	b.clock.Pass(24 * time.Hour)
	b.settle(b.send("ben", 20, uncapped()), 20)
	b.settle(b.send("benhur", 15, uncapped()), 15) // whose accounts lie between ben's
	b.send("eve", 30, uncapped()).Close()
	b.send("eve", 5, uncapped())
	b.settle(b.send("ana-maria", 1, uncapped()), 0)
	for range 3 {
		b.settle(b.send("x", 1, uncapped()), 1)
	}
}

func testPeople(t *testing.T, b *bench) {
	b.crowd()
	b.disable(ledger.DisableRequest{User: person("eve"), By: "cli", Why: "asked for it"})
	b.disable(ledger.DisableRequest{User: person("never seen"), By: "cli"})
	for _, c := range []struct {
		query ledger.PeopleQuery
		want  string
		total int
	}{
		{ledger.PeopleQuery{Limit: 10}, "ana-maria x benhur eve ben ana", 6},
		{ledger.PeopleQuery{Sort: ledger.SortUsedMonth, Desc: true, Limit: 10}, "ana ben eve benhur x ana-maria", 6},
		{ledger.PeopleQuery{Sort: ledger.SortUsedDay, Desc: true, Limit: 10}, "eve ben benhur x ana-maria ana", 6},
		{ledger.PeopleQuery{Sort: ledger.SortRequestsDay, Desc: true, Limit: 1}, "x", 6},
		{ledger.PeopleQuery{Sort: ledger.SortRequestsMonth, Desc: true, Limit: 2}, "x ben", 6},
		{ledger.PeopleQuery{Sort: ledger.SortID, Limit: 10}, "ana ana-maria ben benhur eve x", 6},
		{ledger.PeopleQuery{Sort: ledger.SortID, Offset: 2, Limit: 3}, "ben benhur eve", 6},
		{ledger.PeopleQuery{Sort: ledger.SortID, Offset: 9, Limit: 2}, "", 6},
		{ledger.PeopleQuery{Search: "ANA", Sort: ledger.SortID, Limit: 10}, "ana ana-maria", 2},
		{ledger.PeopleQuery{Search: "mari", Limit: 10}, "ana-maria", 1},
		{ledger.PeopleQuery{Search: "mari", Limit: 0}, "", 1},
		{ledger.PeopleQuery{Search: "nobody", Limit: 10}, "", 0},
	} {
		page, total := b.people(c.query)
		ids := []string{}
		for _, p := range page {
			ids = append(ids, p.User.ID)
		}
		if got := strings.Join(ids, " "); got != c.want || total != c.total {
			t.Errorf("%+v: %q of %d, want %q of %d", c.query, got, total, c.want, c.total)
		}
	}
	page, _ := b.people(ledger.PeopleQuery{Search: "eve", Limit: 1})
	s := b.standing("eve")
	since, _ := b.clock.Read()
	want := []ledger.Person{{User: person("eve"), Day: s.UserDay, Month: s.UserMonth, Stopped: &ledger.Stop{
		User: "eve", Issuer: "https://id.example", ID: "eve", Since: since, By: "cli", Why: "asked for it",
	}}}
	if diff := cmp.Diff(want, page, cmp.Comparer(func(a, b ledger.Window) bool { return a == b })); diff != "" {
		t.Errorf("eve (-want +got):\n%s", diff)
	}
	for _, q := range []ledger.PeopleQuery{{Sort: "name"}, {Offset: -1}, {Offset: 1 << 62}, {Limit: -1}, {Limit: ledger.MaxPeople + 1}} {
		if _, _, err := b.ledger.People(context.Background(), q); err == nil {
			t.Errorf("%+v was accepted", q)
		}
	}
}

func testFind(t *testing.T, b *bench) {
	two := ledger.User{Key: "another ana", Issuer: "https://other.example", ID: "ana"}
	b.send("ana", 1, uncapped()).Close()
	b.send("ana-maria", 1, uncapped()).Close()
	r := b.request("ana", 1, uncapped())
	r.User = two
	h, err := b.ledger.Reserve(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	h.Free()
	b.disable(ledger.DisableRequest{User: ledger.User{Key: "k", Issuer: "https://id.example", ID: "never seen"}, By: "cli"})
	b.standing("ana")
	for name, want := range map[string][]ledger.User{
		"ana":         {person("ana"), two},
		"another ana": {two},
		"never seen":  {{Key: "k", Issuer: "https://id.example", ID: "never seen"}},
		"k":           {{Key: "k", Issuer: "https://id.example", ID: "never seen"}},
		"maria":       nil, "Ana": nil, "": nil, "nobody": nil, "https://id.example": nil,
	} {
		got, err := b.ledger.Find(context.Background(), name)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %+v, %v, want %+v", name, got, err, want)
		}
	}
	b.disable(ledger.DisableRequest{User: ledger.User{Key: "ana"}, By: "cli"}) // by pseudonym alone
	if s := b.stops(); len(s) != 2 || !slices.ContainsFunc(s, func(s ledger.Stop) bool { return s.ID == "ana" && s.Issuer == "https://id.example" }) {
		t.Errorf("stops: %+v, want the name with it", s)
	}
}

func (b *bench) seed(month, day money.USD) error {
	b.Helper()
	now, _ := b.clock.Read()
	return b.ledger.Seed(context.Background(), ledger.SeedRequest{At: now, Month: month, Day: day, By: "cli"})
}

func testSeed(t *testing.T, b *bench) {
	b.settle(b.send("ana", 10, daily(100)), 10)
	if err := b.seed(90, 60); err != nil {
		t.Fatal(err)
	}
	for _, add := range []struct {
		window string
		amount money.USD
	}{{"2026-11-21", 50}, {"2026-11", 80}} {
		e := <-b.told
		if e.Kind != ledger.Seeded || e.Window.String() != add.window || e.Amount != add.amount || e.By != "cli" {
			t.Errorf("told of %+v, want %v in %s", e, add.amount, add.window)
		}
	}
	for range 2 {
		b.used("ana", 60, 90, 10, 10)
		if s := b.standing("ana"); s.Day.Seeded != 50 || s.Month.Seeded != 80 || s.Month.Cost != 10 || s.Month.Requests != 1 || s.UserMonth.Seeded != 0 {
			t.Errorf("the seed is not apart: %+v", s)
		}
		b.crash()
	}
	b.refused("budget_exhausted", "ben", 41, daily(100))
	h := b.send("ben", 40, daily(100))
	b.settle(h, 15)
	b.used("ben", 75, 105, 15, 15)
	b.clock.Pass(24 * time.Hour)
	b.used("ben", 0, 105, 0, 15)
	b.clock.Pass(20 * 24 * time.Hour)
	b.used("ben", 0, 0, 0, 0)
}

func testSeedLess(t *testing.T, b *bench) {
	b.send("ana", 50, uncapped()).Close()
	before := b.standing("ana")
	if err := b.seed(49, 0); !errors.Is(err, ledger.ErrCountedMore) {
		t.Errorf("got %v", err)
	}
	if after := b.standing("ana"); after != before {
		t.Errorf("a refused seed left a trace: %+v", after)
	}
	if err := b.seed(70, 20); err != nil { // the provider's day comes late: that is no reason
		t.Error(err)
	}
	b.used("ana", 50, 70, 50, 50)
	for _, r := range []ledger.SeedRequest{
		{At: noon, Month: -1, By: "cli"}, {At: noon, Month: money.Max + 1, By: "cli"}, {At: noon, Month: 1, Day: 2, By: "cli"}, {At: noon, Month: 100, Day: -1, By: "cli"}, {At: noon, Month: 100},
	} {
		if err := b.ledger.Seed(context.Background(), r); err == nil {
			t.Errorf("%+v was accepted", r)
		}
	}
	b.used("ana", 50, 70, 50, 50)
}

func testSeedAgain(t *testing.T, b *bench) {
	for range 3 {
		if err := b.seed(100, 30); err != nil {
			t.Fatal(err)
		}
		b.used("ana", 30, 100, 0, 0)
	}
	b.settle(b.send("ana", 10, uncapped()), 10)
	if err := b.seed(130, 35); err != nil {
		t.Fatal(err)
	}
	b.used("ana", 40, 130, 10, 10)
}

func testSeedOtherDay(t *testing.T, b *bench) {
	for _, at := range []time.Time{noon.Add(-24 * time.Hour), noon.Add(24 * time.Hour), {}} {
		if err := b.ledger.Seed(context.Background(), ledger.SeedRequest{At: at, Month: 10, By: "cli"}); err == nil {
			t.Errorf("books of %v were accepted at %v", at, noon)
		}
	}
	b.used("ana", 0, 0, 0, 0)
}

func testSeedOpen(t *testing.T, b *bench) {
	h := b.send("ana", 30, uncapped())
	if err := b.seed(100, 100); err != nil {
		t.Fatal(err)
	}
	b.used("ana", 130, 130, 30, 30) // the provider's books cannot have it yet
	b.settle(h, 5)
	b.used("ana", 105, 105, 5, 5)
}
