package auth

import (
	"testing"

	"keyshield/internal/secret"
)

func TestPseudonymsTellUsersApartAndNothingElse(t *testing.T) {
	p := newPseudonyms(secret.New("0123456789abcdef0123456789abcdef"))
	seen := map[string]string{}
	for _, user := range [][2]string{{"", "ana"}, {"a", "na"}, {"an", "a"}, {"ana", ""}, {"https://a", "1"}, {"https://b", "1"}} {
		name := p.of(user[0], user[1])
		if len(name) != 43 {
			t.Errorf("%q is not 43 characters", name)
		}
		if other, ok := seen[name]; ok {
			t.Errorf("%v and %s share %s", user, other, name)
		}
		seen[name] = user[0] + "|" + user[1]
		if again := p.of(user[0], user[1]); again != name {
			t.Errorf("%v is %s once and %s another time", user, name, again)
		}
	}
	one, another := newPseudonyms(secret.String{}), newPseudonyms(secret.String{})
	if one.of("", "ana") == another.of("", "ana") {
		t.Error("two processes without a kept key give the same name")
	}
}
