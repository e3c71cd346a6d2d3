package watch

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

func TestNobodyWhoSpentMuchIsMissingAndNobodyIsCountedForMore(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	for round := range 50 {
		var s spenders
		spent, total := map[uint64]int64{}, int64(0)
		for i := range 5_000 {
			of := sight{by: uint64(random.IntN(1 + 40*round)), proven: 1 + random.Int64N(1000)}
			if i%20 < round%4 {
				of.by, of.proven = 1<<40+uint64(i%2), 5_000
			}
			of.key = fmt.Sprint(of.by)
			s.add(&of)
			spent[of.by] += of.proven
			total += of.proven
		}
		if len(s) > tracked {
			t.Fatalf("%d are tracked", len(s))
		}
		counted := map[uint64]int64{}
		for _, one := range s {
			if one.spent <= 0 || one.spent > spent[one.hash] || one.key != fmt.Sprint(one.hash) {
				t.Errorf("%s is counted for %d, spent %d", one.key, one.spent, spent[one.hash])
			}
			counted[one.hash] = one.spent
		}
		for by, n := range spent {
			if counted[by] < n-total/tracked {
				t.Errorf("%d spent %d of %d, and is counted for %d", by, n, total, counted[by])
			}
		}
	}
}
