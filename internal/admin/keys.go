package admin

import (
	"context"
	"net/http"
	"time"

	"keyshield/internal/alert"
	"keyshield/internal/upstream"
)

// Keys lists OpenAI's keys, by their fingerprints.
func (d *Desk) Keys(context.Context) (KeyList, error) {
	live, err := d.live()
	if err != nil {
		return KeyList{}, err
	}
	return KeyList{keysIn(live)}, nil
}

// ReloadKeys reads the keys again where they come from, has those that OpenAI refused
// tried again, and lists them. Where they never change, and none was refused, there is
// nothing to do: who wrote a new key into .env must not take it for one in force.
func (d *Desk) ReloadKeys(ctx context.Context) (KeyList, error) {
	live, err := d.live()
	if err != nil {
		return KeyList{}, err
	}
	if live.ReloadKeys == nil {
		if !live.RetryKeys(ctx) {
			return KeyList{}, refusal(http.StatusConflict, "fixed_keys", "the keys of this server come from its environment and change with a restart only: set OPENAI_API_KEY_FILE or OPENAI_KEY_SOURCE")
		}
		d.changed("reload_keys", "keys", "")
		return KeyList{keysIn(live)}, nil
	}
	d.changed("reload_keys", "keys", "")
	err = live.ReloadKeys(ctx)
	live.RetryKeys(ctx) // also when the source is down: OpenAI may be up again
	if err != nil {
		return KeyList{}, refusal(http.StatusBadGateway, "keys_unchanged", "the keys stay as they are: %v", err)
	}
	return KeyList{keysIn(live)}, nil
}

func keysIn(live *Live) []Key {
	all := []Key{}
	for _, k := range live.Keys() {
		all = append(all, Key{
			Fingerprint: k.Fingerprint, Source: k.Source, State: k.State, Since: timeOrNone(k.Since),
			QuarantinedAt: timeOrNone(k.QuarantinedAt), Why: k.Why, LastUsed: timeOrNone(k.LastUsed),
		})
	}
	return all
}

// usable says whether OpenAI can be asked under one of the keys.
func usable(keys []Key) bool {
	for _, k := range keys {
		if k.State != upstream.Quarantined {
			return true
		}
	}
	return false
}

// Settings lists what is in force, and where it came from.
func (d *Desk) Settings(context.Context) (SettingList, error) {
	live, err := d.live()
	if err != nil {
		return SettingList{}, err
	}
	return SettingList{append([]Setting{}, live.Settings...)}, nil
}

// TestAlerts sends a test to every receiver, and says what came of it.
func (d *Desk) TestAlerts(ctx context.Context) (AlertTest, error) {
	live, err := d.live()
	if err != nil {
		return AlertTest{}, err
	}
	test := AlertTest{[]Alert{}}
	for _, r := range live.Alerts.Test(ctx) {
		result := Alert{Receiver: r.Receiver, Address: r.Address, OK: r.Err == nil, Took: milliseconds(r.Took)}
		if r.Err != nil {
			result.Why = r.Err.Error()
		}
		test.Alerts = append(test.Alerts, result)
	}
	d.note("test_alerts", "alerts", "")
	return test, nil
}

func alertOf(s alert.ReceiverState) Alert {
	return Alert{
		Receiver: s.Name, Address: s.Address, OK: s.Failing.IsZero(), Why: s.Error, Failing: timeOrNone(s.Failing),
		LastSent: timeOrNone(s.LastSent), Pending: s.Pending + s.Held, Sent: s.Sent, Failed: s.Failed, Dropped: s.Dropped,
	}
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
