package admin_test

import (
	"encoding/json"
	"testing"

	"keyshield/internal/admin"
	"keyshield/internal/money"
)

// TestUsersOfMostComeFirst unless something else is said: of amounts the most is
// looked for, of names the first.
func TestUsersOfMostComeFirst(t *testing.T) {
	o := openOffice(t)
	for i, id := range []string{"ana", "bob"} {
		o.settle(person(id), "gpt-6-luna", money.USD(i+1))
	}
	for query, first := range map[string]string{"": "bob", "?sort=used_day": "bob", "?sort=id": "ana", "?desc=false": "ana", "?sort=id&desc=true": "bob"} {
		var list admin.UserList
		if err := json.Unmarshal([]byte(o.raw("GET", admin.Prefix+"users"+query, "").body), &list); err != nil || list.Users[0].ID != first {
			t.Errorf("%q: %+v (%v), want %s first", query, list.Users, err, first)
		}
	}
}
