package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"keyshield/internal/config"
)

func TestEnvironmentWinsOverDotEnv(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, ".env"), "PORT=4000\nMAX_BODY=1MiB\nexport LOG_LEVEL=debug # why\n"+
		"OPENAI_API_KEY='"+testKey+"'\nJWT_SECRET=\""+testSecret+"\"\nALLOWED_ORIGINS=none\n")
	l := config.Load(config.Serve, []string{"PORT=5000", "PORT=6000", "MAX_BODY="}, dir)
	if len(l.Problems) > 0 {
		t.Fatalf("%+v", l.Problems)
	}
	if l.Config.Server.Port != 5000 || l.Config.Server.MaxBody != 1<<20 || l.Config.Server.LogLevel.String() != "DEBUG" {
		t.Errorf("PORT %d, MAX_BODY %s, LOG_LEVEL %s; want the environment's first, and .env where that says nothing",
			l.Config.Server.Port, l.Config.Server.MaxBody, l.Config.Server.LogLevel)
	}
	for name, want := range map[string]config.Source{
		"PORT": config.FromEnvironment, "MAX_BODY": config.FromDotEnv, "OPENAI_API_KEY": config.FromDotEnv, "HOST": config.FromDefault,
	} {
		if l.Sources[name] != want {
			t.Errorf("%s comes from %q, want %q", name, l.Sources[name], want)
		}
	}
	if os.Getenv("JWT_SECRET") != "" || os.Getenv("ALLOWED_ORIGINS") != "" {
		t.Error(".env got into the process's own environment, and with it into every child's")
	}
}

func TestSecretsMayStandInFiles(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "key"), "\n "+testKey+"\r\n\n")
	write(t, filepath.Join(dir, "secret"), testSecret)
	l := config.Load(config.Serve, right("OPENAI_API_KEY=", "OPENAI_API_KEY_FILE="+filepath.Join(dir, "key"), "JWT_SECRET=", "JWT_SECRET_FILE=secret"), dir)
	if len(l.Problems) > 0 || l.Config.OpenAI.Key.Reveal() != testKey || l.Config.Auth.Secret.Reveal() != testSecret {
		t.Fatalf("%+v", l.Problems)
	}
	if l.Sources["OPENAI_API_KEY"] != "file OPENAI_API_KEY_FILE" || l.Sources["JWT_SECRET_FILE"] != config.FromEnvironment {
		t.Errorf("sources = %v", l.Sources)
	}
}

func TestBadSecretFilesAreRefusedWithoutTheirPath(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "empty"), " \n")
	write(t, filepath.Join(dir, "large"), strings.Repeat("x", 64<<10+1))
	write(t, filepath.Join(dir, "unreadable"), testKey)
	if err := os.Chmod(filepath.Join(dir, "unreadable"), 0); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"missing": "does not exist", "empty": "is empty", "large": "larger than 64 KiB", ".": "cannot be read",
		"unreadable": "may not be read", testKey: "does not exist", "a\x00b": "cannot be opened",
	} {
		if path == "unreadable" && os.Geteuid() == 0 {
			continue // root reads everything
		}
		for _, name := range []string{"OPENAI_API_KEY", "JWT_SECRET"} {
			l := config.Load(config.Serve, right(name+"=", name+"_FILE="+path), dir)
			text, fix := problemOf(l, name)
			if len(l.Problems) != 1 || !strings.Contains(text, want) || !strings.Contains(fix, name+"_FILE=") {
				t.Errorf("%s_FILE=%q: %+v, want one problem: %s", name, path, l.Problems, want)
			}
			if strings.Contains(text, testKey) {
				t.Errorf("someone put the key itself into %s_FILE, and it is shown: %s", name, text)
			}
		}
	}
}

func TestBothFormsOfASecretAreRefused(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "f"), testKey)
	for _, name := range []string{"OPENAI_API_KEY", "JWT_SECRET"} {
		l := config.Load(config.Serve, right(name+"_FILE=f"), dir)
		if text, fix := problemOf(l, name); len(l.Problems) != 1 || !strings.Contains(text, "only one") || fix != "unset "+name {
			t.Errorf("%s and %s_FILE: %+v", name, name, l.Problems)
		}
	}
	write(t, filepath.Join(dir, ".env"), "JWT_SECRET_FILE=f\n")
	if text, _ := problemOf(config.Load(config.Serve, right(), dir), "JWT_SECRET"); !strings.Contains(text, "(environment)") || !strings.Contains(text, "(.env)") {
		t.Errorf("one here, one in .env: %q", text)
	}
	if l := config.Load(config.Serve, right("PORT_FILE=f"), t.TempDir()); len(l.Problems) > 0 || l.Config.Server.Port != 3000 {
		t.Errorf("only secrets have files: %+v", l.Problems)
	}
}

func TestDotEnvThatDoesNotParseIsRefusedByItsLine(t *testing.T) {
	for content, want := range map[string]string{
		"PORT=1\nJWT-SECRET=" + testSecret + "\nX=1\n":                "line 2",
		"PORT=1\nA='two\nlines'\n\n# note\n" + testSecret + "\nX=1\n": "line 6",
		"A=1\nB=\"" + testSecret + "\nC=3\n":                          "line 2",
		"A=1\n-----BEGIN KEY-----\n" + testSecret + "\n":              "line 2",
		"A=1\n" + testSecret:                                          "line 2",
		"\ufeffA=1\n":                                                 "line 1",
	} {
		dir := t.TempDir()
		write(t, filepath.Join(dir, ".env"), content)
		text, _ := problemOf(config.Load(config.Serve, right(), dir), ".env")
		if !strings.HasSuffix(text, want) {
			t.Errorf("%q: %q, want it to end in %s", content, text, want)
		}
		if strings.Contains(text, testSecret) {
			t.Errorf("the problem quotes the file: %s", text)
		}
	}

	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, ".env"), 0o700); err != nil {
		t.Fatal(err)
	}
	if text, _ := problemOf(config.Load(config.Serve, right(), dir), ".env"); !strings.Contains(text, "folder") {
		t.Errorf(".env is a folder: %q", text)
	}
	dir = t.TempDir()
	write(t, filepath.Join(dir, ".env"), "A="+strings.Repeat("x", 64<<10))
	if text, _ := problemOf(config.Load(config.Serve, right(), dir), ".env"); !strings.Contains(text, "larger") {
		t.Errorf("a huge .env: %q", text)
	}
}

// TestDollarInASecretIsNotSilentlyChanged: .env expands $NAME unless it stands in
// single quotes, and the tokens' signer would have another secret than we.
func TestDollarInASecretIsNotSilentlyChanged(t *testing.T) {
	half := testSecret[:16]
	for line, fine := range map[string]bool{
		"JWT_SECRET=" + half + "$ABC" + half:                   false,
		"export JWT_SECRET=\"" + half + "${ABC}" + half + "\"": false,
		"JWT_SECRET: " + half + "$(ABC)" + half:                false,
		"JWT_SECRET=" + half + `\$x` + half:                    false,
		"JWT_SECRET='" + half + "$ABC" + half + "'":            true,
		"JWT_SECRET=" + half + "$abc" + half:                   true,
		"JWT_SECRET=" + half + half + "$":                      true,
		"# JWT_SECRET=$ABC\nJWT_SECRET=" + testSecret:          true,
		"SYSTEM_PROMPT=$ABC\nJWT_SECRET=" + testSecret:         true,
	} {
		dir := t.TempDir()
		write(t, filepath.Join(dir, ".env"), line+"\n")
		l := config.Load(config.Serve, right("JWT_SECRET="), dir)
		text, _ := problemOf(l, "JWT_SECRET")
		if fine && (text != "" || !strings.Contains(line, l.Config.Auth.Secret.Reveal())) || !fine && !strings.Contains(text, "single quotes") {
			t.Errorf("%s: problem %q, secret as written %v", line, text, strings.Contains(line, l.Config.Auth.Secret.Reveal()))
		}
	}
}

// FuzzDotEnv: whatever .env holds, loading ends, a file that cannot be read is a
// problem that names no content, and a secret arrives as it was written or not at
// all.
func FuzzDotEnv(f *testing.F) {
	for _, seed := range []string{
		"PORT=1", "A='x\ny'\nB", "export JWT_SECRET=$X", "=x", "A=\"\\", "\"", "A=b\r\nC", "# only", "JWT_SECRET: x", "A\x00=1", "A='", "\ufeffA=1", "${}",
	} {
		f.Add(seed)
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, content string) {
		const marker = "Qm4vXk27"
		write(t, filepath.Join(dir, ".env"), content+"\nJWT_SECRET='"+testSecret+marker+"'\n")
		l := config.Load(config.Serve, right("JWT_SECRET="), dir)
		unread, _ := problemOf(l, ".env")
		got := l.Config.Identity.Secret.Reveal()
		if unread == "" && strings.Contains(got, marker) && got != testSecret+marker && len(l.Problems) == 0 {
			t.Fatalf("%q changed the secret into %q", content, got)
		}
		for _, p := range l.Problems {
			if strings.Contains(p.Text+p.Fix, marker) {
				t.Fatalf("%q: a problem shows the secret: %+v", content, p)
			}
		}
		for _, w := range l.Warnings {
			if strings.Contains(w, marker) {
				t.Fatalf("%q: a warning shows the secret: %s", content, w)
			}
		}
	})
}
