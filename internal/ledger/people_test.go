package ledger_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"keyshield/internal/ledger"
	"keyshield/internal/ledger/ledgertest"
	"keyshield/internal/money"
)

// crowd is a ledger in which n users spent, each another amount, on every day.
func crowd(t testing.TB, n, days int) *ledger.Ledger {
	clock := ledgertest.NewClock(time.Date(2026, 11, 30-days, 12, 0, 0, 0, time.UTC))
	l := open(t, ledger.Options{Dir: t.TempDir(), Clock: clock.Read})
	for d := range days {
		clock.Pass(24 * time.Hour)
		var wg sync.WaitGroup
		for worker := range 256 {
			wg.Go(func() {
				for i := worker; i < n; i += 256 {
					h, err := l.Reserve(t.Context(), request(fmt.Sprint(d, "-", i), user(i), 1_000_000))
					if err != nil {
						t.Error(err)
						return
					}
					_ = h.Use()
					_ = h.Settle(ledger.Usage{Input: 10, Cost: money.USD(i * 7919 % n)})
				}
			})
		}
		wg.Wait()
	}
	flush(t, l)
	return l
}

// TestPagesOverlapNowhere reads a crowd that needs several transactions, page by
// page, while it goes on spending.
func TestPagesOverlapNowhere(t *testing.T) {
	const many = 11_000
	l := crowd(t, many, 1)
	for _, q := range []ledger.PeopleQuery{{Sort: ledger.SortUsedDay}, {Sort: ledger.SortUsedMonth, Desc: true}, {Sort: ledger.SortRequestsDay}, {Sort: ledger.SortID}} {
		seen := map[string]bool{}
		var used []money.USD
		for q.Limit = ledger.MaxPeople; ; q.Offset += q.Limit {
			page, total, err := l.People(t.Context(), q)
			if err != nil || total != many {
				t.Fatalf("%d in all, %v", total, err)
			}
			for _, p := range page {
				seen[p.User.ID] = true
				used = append(used, p.Month.Used)
			}
			if len(page) < q.Limit {
				break
			}
		}
		if len(seen) != many || len(used) != many {
			t.Errorf("%+v: saw %d users on %d rows, want %d", q, len(seen), len(used), many)
		}
		if q.Desc {
			slices.Reverse(used)
		}
		if (q.Sort == ledger.SortUsedDay || q.Sort == ledger.SortUsedMonth) && !slices.IsSorted(used) {
			t.Errorf("%+v: not in order", q)
		}
	}
	if found := must(t, of(l.Find(t.Context(), "user-10999"))); !slices.Equal(found, []ledger.User{user(10999)}) {
		t.Errorf("found %+v", found)
	}
}

func BenchmarkPeople(b *testing.B) {
	l := crowd(b, 100_000, 1)
	for name, q := range map[string]ledger.PeopleQuery{
		"by month": {Sort: ledger.SortUsedMonth, Desc: true, Limit: 50}, "by day": {Sort: ledger.SortUsedDay, Desc: true, Limit: 50},
		"by id": {Sort: ledger.SortID, Limit: 50}, "search": {Search: "999", Limit: 50},
	} {
		b.Run(name, func(b *testing.B) {
			before := cpuTime()
			for b.Loop() {
				if _, total, err := l.People(b.Context(), q); err != nil || q.Search == "" && total != 100_000 {
					b.Fatal(total, err)
				}
			}
			b.ReportMetric(float64(cpuTime()-before)/float64(b.N)/1e6, "cpu-ms/op")
		})
	}
	b.Run("find", func(b *testing.B) {
		for b.Loop() {
			if found, err := l.Find(b.Context(), "user-5"); err != nil || len(found) != 1 {
				b.Fatal(found, err)
			}
		}
	})
}
