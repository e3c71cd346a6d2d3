package ledger

import (
	"bytes"
	"testing"
	"time"
)

// FuzzRows: whatever a row says, decoding it neither panics nor reads something
// that would be written differently.
func FuzzRows(f *testing.F) {
	a := account{used: 30, open: 10, told: 50, tally: Tally{Requests: 2, Cost: 15, AtCeiling: 5, Unproven: 1}}
	f.Add(a.append(nil))
	h := Hold{day: 20778, at: 20778 * 24 * milliPerHour, request: Request{ID: "id", User: User{Key: "ana"}, Model: "gpt-6-luna", Ceiling: 7, Prices: "1"}}
	f.Add(h.append(nil))
	f.Add(userRow{20778, "https://id.example", "ana"}.append(nil))
	f.Add((&stop{over: true, since: 1, until: 7, sum: 2, users: []string{"ana", "ben"}, by: "cli", why: "x", user: User{"ana", "i", "id"}}).append(nil))
	f.Add((&account{used: 30, open: 10, seeded: 5, tally: Tally{Cost: 15}}).append(nil))
	for _, old := range firstVersion() {
		f.Add(old)
	}
	f.Add(tallyKey{1, "ana", "gpt-6-luna"}.append(nil))
	f.Fuzz(func(t *testing.T, row []byte) {
		same := func(kind string, again []byte) {
			t.Helper()
			if len(again) > len(row) || len(again) == len(row) && !bytes.Equal(again, row) {
				t.Errorf("%s %x is written again as %x", kind, row, again)
			}
		}
		if a, err := decodeAccount(row); err == nil {
			same("account", a.append(nil))
			if a.used != a.tally.Cost+a.tally.AtCeiling+a.open+a.seeded || a.used < 0 {
				t.Errorf("account %+v does not add up", a)
			}
		}
		if h, err := decodeHold(row); err == nil && int64(h.request.Ceiling) >= 0 {
			again, err := decodeHold(h.append(nil))
			if err != nil || again.request != h.request || again.day != h.day || again.at != h.at {
				t.Errorf("hold %+v is read again as %+v, %v", h, again, err)
			}
		}
		if u, err := decodeUser(row); err == nil {
			if again, err := decodeUser(u.append(nil)); err != nil || again != u {
				t.Errorf("user %+v is read again as %+v, %v", u, again, err)
			}
		}
		if k, err := decodeTallyKey(row); err == nil {
			if again, err := decodeTallyKey(k.append(nil)); err != nil || again != k {
				t.Errorf("key %+v is read again as %+v, %v", k, again, err)
			}
		}
		if s, err := decodeStop("uana", row); err == nil {
			if again, err := decodeStop("uana", s.append(nil)); err != nil || again.over != s.over || again.until != s.until || again.stop() != s.stop() || len(again.users) != len(s.users) {
				t.Errorf("stop %+v is read again as %+v, %v", s, again, err)
			}
		}
	})
}

// firstVersion are rows as they were written before holds had a moment and stops an
// end: a hold, a suspended user, an account.
func firstVersion() (rows [3][]byte) {
	rows[0] = appendTexts(appendInts([]byte{1}, 20778, 20778*24+5, 7), "id", "ana", "gpt-6-luna", "1")
	rows[1] = appendInts([]byte{1}, 1, 1_795_000_000, 2, 0)
	rows[2] = (&account{used: 30, open: 10, told: 50, tally: Tally{Requests: 2, Cost: 15, AtCeiling: 5, Unproven: 1}}).append(nil)
	return rows
}

func TestRowsOfTheFirstVersionAreRead(t *testing.T) {
	rows := firstVersion()
	h, err := decodeHold(rows[0])
	if err != nil || h.hour() != 20778*24+5 || h.at != (20778*24+5)*3_600_000 || h.request.ID != "id" || h.request.Ceiling != 7 {
		t.Errorf("a hold: %+v, %v", h, err)
	}
	s, err := decodeStop("uana", rows[1])
	if err != nil || !s.inForce(time.Now().Add(1000*24*time.Hour)) || s.by != ByOvershoot || s.sum != 2 || s.stop().User != "ana" {
		t.Errorf("a stop: %+v, %v", s, err)
	}
	a, err := decodeAccount(rows[2])
	if err != nil || a.used != 30 || a.seeded != 0 || rows[2][0] != 1 {
		t.Errorf("an account: %+v, %v: without a seed it is written as before", a, err)
	}
}

func TestAnAccountThatDoesNotAddUpIsRefused(t *testing.T) {
	good := account{used: 30, open: 10, tally: Tally{Cost: 15, AtCeiling: 5}}
	if _, err := decodeAccount(good.append(nil)); err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]account{
		"less used": {used: 29, open: 10, tally: good.tally}, "more open": {used: 30, open: 11, tally: good.tally},
		"more seeded": {used: 30, open: 10, seeded: 1, tally: good.tally},
		"told":        {used: 30, open: 10, told: 101, tally: good.tally},
	} {
		if _, err := decodeAccount(bad.append(nil)); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	for _, row := range [][]byte{nil, {}, {2}, {3}, {0}, {rowVersion}, append(good.append(nil), 0), {rowVersion, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}} {
		if a, err := decodeAccount(row); err == nil {
			t.Errorf("%x was read as %+v", row, a)
		}
	}
}
