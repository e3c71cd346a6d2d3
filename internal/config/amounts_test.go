package config

import "testing"

func FuzzBudget(f *testing.F) {
	for _, seed := range []string{"20", "$0.5", "off", "0", "1000000", "1e3", "$", "0.000000001"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var b, again Budget
		if b.UnmarshalText([]byte(text)) != nil {
			return
		}
		if b <= 0 {
			t.Fatalf("%q is a budget of %d: zero would be one that was not set", text, int64(b))
		}
		if err := again.UnmarshalText([]byte(b.String())); err != nil || again != b {
			t.Fatalf("%q is written %q and read as %d, %v", text, b, again, err)
		}
		if b.Off() != (text == "off") {
			t.Fatalf("%q is off: %t", text, b.Off())
		}
	})
}

func FuzzPercents(f *testing.F) {
	for _, seed := range []string{"50%,80%,100%", "off", "1%", "80%,50%", "5%,5%", "%", "0%", " 7% "} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var p, again Percents
		if p.UnmarshalText([]byte(text)) != nil {
			return
		}
		last := 0
		for _, n := range p {
			if n <= last || n > 100 {
				t.Fatalf("%q is %v", text, p)
			}
			last = n
		}
		if err := again.UnmarshalText([]byte(p.String())); err != nil || again.String() != p.String() {
			t.Fatalf("%q is written %q and read as %v, %v", text, p, again, err)
		}
	})
}
