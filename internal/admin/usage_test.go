package admin

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"keyshield/internal/ledger"
	"keyshield/internal/money"
)

func TestGroupsOfAReportAreBounded(t *testing.T) {
	g := newGrouping(ByUser)
	for i := range maxGroups + 5 {
		g.count(ledger.Entry{User: ledger.User{Key: fmt.Sprint(i)}, Tally: ledger.Tally{Requests: 1, Cost: 2}})
	}
	all := g.list(0)
	if len(all) != maxGroups+1 || all[maxGroups].Requests != 5 || all[maxGroups].Proven != 10 {
		t.Errorf("%d rows, the last %+v: want %d and the 5 that had no place", len(all), all[len(all)-1], maxGroups+1)
	}
}

func TestReportIsExactInJSON(t *testing.T) {
	text, err := json.Marshal(Tally{Proven: NanoUSD(money.Max) + 1})
	if err != nil || !strings.Contains(string(text), `"proven_nanousd":1000000000000001,`) {
		t.Errorf("%s (%v), want every nano-dollar", text, err)
	}
}
