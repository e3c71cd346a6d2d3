package watch

import (
	"testing"
	"time"
)

func TestAlarmsArePlainWords(t *testing.T) {
	for _, c := range []struct {
		alarm Alarm
		known bool
		want  string
	}{
		{Alarm{Key: "k", ID: "alice", Signal: Requests, Now: 412, Usual: 3.17}, true, "alice made 412 requests in the last minute; usually it is 3"},
		{Alarm{Key: "k", ID: "alice", Signal: Refusals, Now: 60}, true, "alice had 60 requests refused in the last minute; usually it is none"},
		{Alarm{Key: "k", ID: "alice", Signal: Addresses, Now: 64, Usual: 1}, true, "alice came from 64 addresses or more in the last hour; usually it is 1"},
		{Alarm{Key: "k", ID: "alice", Signal: Dollars, Now: 1.234, Usual: 0.004}, true, "alice spent $1.23 in the last hour; usually it is less than a cent"},
		{Alarm{Signal: Requests, Now: 412}, false, "Everybody together made 412 requests in the last minute; there is no past yet to compare it with"},
		{Alarm{Signal: Addresses, Now: 1000, Usual: 80.6}, false, "Everybody together came from 1000 addresses in the last hour; usually it is about 81"},
		{Alarm{Key: "k", ID: "a made 1 request\n", Signal: Requests, Now: 1}, true, `"a made 1 request\n" made 1 request in the last minute; usually it is none`},
		{Alarm{Key: "pseudonym", Signal: Requests, Now: 2, Usual: 9.6}, true, "pseudonym made 2 requests in the last minute; usually it is 10"},
	} {
		if got := c.alarm.sentence(c.known); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}

func TestNobodysIdIsACommand(t *testing.T) {
	for id, want := range map[string]string{
		"alice":                "alice",
		"auth0|alice@host.com": "'auth0|alice@host.com'",
		"x; rm -rf ~":          "'x; rm -rf ~'",
		"it's $(id)":           `'it'\''s $(id)'`,
		"-rf":                  "'-rf'",
		"bob.":                 "'bob.'",
		"line\nbreak":          "pseudonym",
		"right\u202eleft":      "pseudonym",
		"":                     "pseudonym",
	} {
		a := Alarm{Key: "pseudonym", ID: id}
		if got := shellWord(a.handle()); got != want {
			t.Errorf("%q: %s, want %s", id, got, want)
		}
	}
}

func TestPeriodsAreSpeltShortly(t *testing.T) {
	for d, want := range map[time.Duration]string{
		time.Hour: "1h", 90 * time.Minute: "1h30m", 24 * time.Hour: "24h", 10 * time.Minute: "10m", 45 * time.Second: "45s", 70 * time.Second: "1m10s",
	} {
		if got := spell(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}
