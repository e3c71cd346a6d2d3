package ledger

import (
	"bytes"
	"testing"
)

// FuzzRows: whatever a row says, decoding it neither panics nor reads something
// that would be written differently.
func FuzzRows(f *testing.F) {
	a := account{used: 30, open: 10, told: 50, tally: Tally{Requests: 2, Cost: 15, AtCeiling: 5, Unproven: 1}}
	f.Add(a.append(nil))
	h := Hold{day: 20778, hour: 20778 * 24, request: Request{ID: "id", User: User{Key: "ana"}, Model: "gpt-6-luna", Ceiling: 7, Prices: "1"}}
	f.Add(h.append(nil))
	f.Add(userRow{20778, "https://id.example", "ana"}.append(nil))
	f.Add((&stop{over: true, since: 1, sum: 2, users: []string{"ana", "ben"}}).append(nil))
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
			if a.used != a.tally.Cost+a.tally.AtCeiling+a.open || a.used < 0 {
				t.Errorf("account %+v does not add up", a)
			}
		}
		if h, err := decodeHold(row); err == nil && int64(h.request.Ceiling) >= 0 {
			again, err := decodeHold(h.append(nil))
			if err != nil || again.request != h.request || again.day != h.day || again.hour != h.hour {
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
			if again, err := decodeStop("uana", s.append(nil)); err != nil || again.over != s.over || len(again.users) != len(s.users) {
				t.Errorf("stop %+v is read again as %+v, %v", s, again, err)
			}
		}
	})
}

func TestAnAccountThatDoesNotAddUpIsRefused(t *testing.T) {
	good := account{used: 30, open: 10, tally: Tally{Cost: 15, AtCeiling: 5}}
	if _, err := decodeAccount(good.append(nil)); err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]account{
		"less used": {used: 29, open: 10, tally: good.tally}, "more open": {used: 30, open: 11, tally: good.tally},
		"told": {used: 30, open: 10, told: 101, tally: good.tally},
	} {
		if _, err := decodeAccount(bad.append(nil)); err == nil {
			t.Errorf("%s was accepted", name)
		}
	}
	for _, row := range [][]byte{nil, {}, {2}, {rowVersion}, append(good.append(nil), 0), {rowVersion, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}} {
		if a, err := decodeAccount(row); err == nil {
			t.Errorf("%x was read as %+v", row, a)
		}
	}
}
