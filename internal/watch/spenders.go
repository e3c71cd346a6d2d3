package watch

import (
	"cmp"
	"slices"
	"strings"
)

const (
	tracked = 64 // spenders of a minute
	handful = 3  // users who are disabled before everything is stopped
	atLeast = 10 // each of them made so much of the spending: one in ten
)

// spender is a user and what they spent, in nano-dollars: that, or a little more.
type spender struct {
	hash            uint64
	key, issuer, id string
	spent           int64
}

// spenders are who spent in a minute. Of more than are tracked, nobody is missing who
// made more than one part in 64, and nobody is counted for more than they spent: a
// new one is weighed against all (Misra and Gries).
type spenders []spender

func (s *spenders) add(of *sight) {
	all := *s
	for i := range all {
		if all[i].hash == of.by {
			all[i].spent = plus(all[i].spent, of.proven)
			return
		}
	}
	spent := of.proven
	if len(all) == tracked {
		least := spent
		for i := range all {
			least = min(least, all[i].spent)
		}
		for i := range all {
			all[i].spent -= least
		}
		all = slices.DeleteFunc(all, func(one spender) bool { return one.spent == 0 })
		spent -= least
	}
	if spent > 0 { // then there is room: it was somebody else who had the least
		all = append(all, spender{of.by, strings.Clone(of.key), strings.Clone(of.issuer), strings.Clone(of.id), spent})
	}
	*s = all
}

// few are the users, a handful at most, who made at least half of a drain; nil if
// it took more of them.
func (s *spending) few(of drain) []spender {
	var all []spender
	at := make(map[uint64]int)
	for m := max(0, s.at-of.minutes+1); m <= s.at; m++ {
		for _, one := range s.by[m%within] {
			i, known := at[one.hash]
			if !known {
				at[one.hash] = len(all)
				all = append(all, one)
				continue
			}
			all[i].spent = plus(all[i].spent, one.spent)
		}
	}
	slices.SortFunc(all, func(a, b spender) int { return cmp.Compare(b.spent, a.spent) })
	sum := int64(0)
	for i, one := range all[:min(len(all), handful)] {
		if one.spent < int64(of.proven)/atLeast {
			break
		}
		if sum += one.spent; sum >= int64(of.proven)/2 {
			return all[:i+1]
		}
	}
	return nil
}
