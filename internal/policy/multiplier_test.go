package policy_test

import (
	"testing"

	"keyshield/internal/policy"
)

func TestMultiplierOfAHost(t *testing.T) {
	for host, want := range map[string]policy.Multiplier{
		"api.openai.com": 1000, "API.OpenAI.com": 1000, "localhost": 1000, "127.0.0.1": 1000, "127.8.8.8": 1000, "::1": 1000,
		"eu.api.openai.com": 1100, "us.api.openai.com": 1100, "EU.api.openai.com": 1100,
	} {
		if got, ok := policy.MultiplierFor(host); !ok || got != want {
			t.Errorf("%s: %v, %v; want %v", host, got, ok, want)
		}
	}
	for _, host := range []string{
		"", "openai.com", "evilapi.openai.com", "api.openai.com.example.com", "api.openai.com.", "example.com", "10.0.0.1", "0.0.0.0",
		"localhost.example.com", "api.openai.com:443", "my.openai.azure.com",
	} {
		if got, ok := policy.MultiplierFor(host); ok || got != 0 {
			t.Errorf("%q costs %v: nobody said so", host, got)
		}
	}
}

func TestMultiplierIsReadExactly(t *testing.T) {
	for text, want := range map[string]policy.Multiplier{"1": 1000, "1.0": 1000, "1.1": 1100, "1.125": 1125, "2.5": 2500, "100": 100_000, "01.10": 1100} {
		var m policy.Multiplier
		if err := m.UnmarshalText([]byte(text)); err != nil || m != want {
			t.Errorf("%q is read as %d, %v; want %d", text, int64(m), err, int64(want))
		}
		var again policy.Multiplier
		if err := again.UnmarshalText([]byte(m.String())); err != nil || again != m {
			t.Errorf("%q is printed as %s, which reads as %v, %v", text, m, again, err)
		}
	}
	for _, text := range []string{"", "0", "0.9", "0.999", "-1", "+1", "1.", ".1", "1.1000", "1e1", "1,1", "1_0", "NaN", "100.001", "101", "99999999999999999999", "1 ", "$1", "１"} {
		m := policy.Multiplier(7)
		if err := m.UnmarshalText([]byte(text)); err == nil || m != 7 {
			t.Errorf("%q is read as %v, %v", text, m, err)
		}
	}
}
