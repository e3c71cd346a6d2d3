package config

import "testing"

func TestNameOneEditAwayIsMeant(t *testing.T) {
	ours := []string{"PORT", "OPENAI_API_KEY", "OPENAI_API_KEY_FILE", "JWT_SECRET"}
	for name, want := range map[string]string{
		"PROT":                "PORT",           // swapped
		"PORTS":               "PORT",           // one too many
		"POR":                 "PORT",           // one missing
		"PORD":                "PORT",           // another
		"port":                "PORT",           // case
		"Prot":                "PORT",           // case, and swapped
		"OPENAI_APIKEY":       "OPENAI_API_KEY", // one missing, within
		"OPENAI_API_KEY_FIEL": "OPENAI_API_KEY_FILE",
		"JWT SECRET":          "JWT_SECRET",
		"JWT_SECRETS":         "JWT_SECRET",
		"JWT_SECRET_KEY":      "",
		"PO":                  "",
		"PTOR":                "",
		"OPENAI_KEY":          "",
		"":                    "",
	} {
		if got := closest(name, ours); got != want {
			t.Errorf("closest(%q) = %q, want %q", name, got, want)
		}
	}
}

// FuzzOneEdit: it does not matter which of the two is the right one, and nothing
// is an edit away from itself.
func FuzzOneEdit(f *testing.F) {
	f.Add("PORT", "PROT")
	f.Add("", "A")
	f.Add("AB", "BA")
	f.Fuzz(func(t *testing.T, a, b string) {
		if oneEdit(a, b) != oneEdit(b, a) {
			t.Fatalf("oneEdit(%q, %q) depends on their order", a, b)
		}
		if oneEdit(a, a) {
			t.Fatalf("%q is an edit away from itself", a)
		}
		if !oneEdit(a, a+"x") || !oneEdit(a+"x"+b, a+"y"+b) {
			t.Fatalf("one edit of %q, %q is not seen", a, b)
		}
	})
}
