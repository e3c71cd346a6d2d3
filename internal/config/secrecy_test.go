package config_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"keyshield/internal/config"
)

const canary = "Zq8fT3mW9xLc2Vb7Hn4Rj6Ks1Pd5Gy0Ua" // 33 characters

// spoilt are the shapes in which a secret arrives.
var spoilt = []string{
	canary, canary[:12], " " + canary, canary + "\n", canary[:20] + "\n" + canary[20:], canary[:20] + " " + canary[20:],
	`"` + canary + `"`, "'" + canary + "'", "Bearer " + canary, canary + "\u200b", canary + "\xff", "your-key-here-" + canary, "<" + canary + ">",
	"sk-" + canary, "sk-admin-" + canary, "eyJ" + canary, "-----BEGIN KEY-----\n" + canary, `{"kty":"oct","k":"` + canary + `"}`,
	strings.Repeat(canary, 40), canary + "$" + canary, canary + "=" + canary, "#" + canary, "=" + canary, canary + "\\",
}

// told is everything that Load says to anyone.
func told(l *config.Loaded) string {
	var out strings.Builder
	l.Print(&out)
	fmt.Fprintf(&out, "%+v\n%v\n%+v\n%#v\n", l.Problems, l.Warnings, l.Sources, l.Config)
	fmt.Fprintf(&out, "%v %+v %#v %+v %#v\n", *l, l.Config, l.Config, l.Config.OpenAI, l.Config.Auth)
	encoded, err := json.Marshal(map[string]any{"problems": l.Problems, "openai": l.Config.OpenAI, "identity": l.Config.Identity})
	fmt.Fprintf(&out, "%s %v\n", encoded, err)
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "config", l.Config, "problems", l.Problems)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "openai", l.Config.OpenAI, "problems", l.Problems)
	return out.String()
}

// shows finds any eight bytes of the canary in text, plain or encoded.
func shows(text string) string {
	for _, text := range []string{text, strings.ToLower(text)} {
		for at := 0; at+8 <= len(canary); at++ {
			piece := canary[at : at+8]
			for _, form := range []string{piece, strings.ToLower(piece), hex.EncodeToString([]byte(piece)), base64.RawStdEncoding.EncodeToString([]byte(piece[:6]))} {
				if strings.Contains(text, form) {
					return form
				}
			}
		}
	}
	return ""
}

// TestNoSecretIsEverShown: every secret, spoilt in every way, from every source,
// in both modes.
func TestNoSecretIsEverShown(t *testing.T) {
	if shows("x"+canary) == "" || shows(hex.EncodeToString([]byte(canary))) == "" {
		t.Fatal("this test would not see a secret")
	}
	dir := t.TempDir()
	for _, name := range []string{"OPENAI_API_KEY", "JWT_SECRET", "OPENAI_ADMIN_KEY"} {
		for i, value := range spoilt {
			file := filepath.Join(dir, "file")
			write(t, file, value)
			withDotEnv, quotedDotEnv := t.TempDir(), t.TempDir()
			write(t, filepath.Join(withDotEnv, ".env"), "PORT=1\n"+name+"="+value+"\n")
			write(t, filepath.Join(quotedDotEnv, ".env"), name+"='"+value+"'\n")
			for source, load := range map[string]func(config.Mode) *config.Loaded{
				"environment":      func(m config.Mode) *config.Loaded { return config.Load(m, right(name+"="+value), dir) },
				"file":             func(m config.Mode) *config.Loaded { return config.Load(m, right(name+"=", name+"_FILE="+file), dir) },
				"its name of file": func(m config.Mode) *config.Loaded { return config.Load(m, right(name+"=", name+"_FILE="+value), dir) },
				"both": func(m config.Mode) *config.Loaded {
					return config.Load(m, right(name+"="+value, name+"_FILE="+file), dir)
				},
				".env":           func(m config.Mode) *config.Loaded { return config.Load(m, right(name+"="), withDotEnv) },
				".env in quotes": func(m config.Mode) *config.Loaded { return config.Load(m, right(name+"="), quotedDotEnv) },
			} {
				for _, mode := range []config.Mode{config.Serve, config.Dev} {
					if piece := shows(told(load(mode))); piece != "" {
						t.Errorf("%s, spoilt in way %d, from %s, mode %d: %q is shown", name, i, source, mode, piece)
					}
				}
			}
		}
	}
}

// TestAKeyPastedIntoTheWrongLineIsNotShown: what looks like a key is a secret
// whatever variable it stands in.
func TestAKeyPastedIntoTheWrongLineIsNotShown(t *testing.T) {
	for name := range serve(t).Sources {
		for _, value := range []string{"sk-" + canary, "https://sk-" + canary, "eyJ" + canary + "." + canary, "a,sk-" + canary + ",b"} {
			l := serve(t, name+"="+value)
			var out strings.Builder
			l.Print(&out)
			fmt.Fprintf(&out, "%+v %v", l.Problems, l.Warnings)
			if piece := shows(out.String()); piece != "" {
				t.Errorf("%s=%s: %q is shown", name, value, piece)
			}
		}
	}
}
