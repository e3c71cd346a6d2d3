package main

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestScripts runs the program itself, as a shell does, for what a person sees:
// testdata/script. Its words beside testscript's own:
//
//	exits n command…     the command ends with exit code n
//	mksecret file [name] writes a fresh secret to the file, or GOODSECRET as name's line
//	freshsecret          sets FRESH to the secret on standard output
//	claims name=value…   standard output is a token with these claims; lives is exp less iat
//	freeport             sets PORT to a free one
//	alive                waits until the server on PORT answers
//	terminate            sends SIGTERM to the last background command
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("GORACE", "atexit_sleep_ms=0") // the race detector's second at each exit
			env.Setenv("GOODKEY", "test-key-"+rand.Text())
			env.Setenv("GOODSECRET", rand.Text()+rand.Text())
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "mksecret": mkSecret, "freshsecret": freshSecretOf, "claims": claimsOf,
			"freeport": freePortOf, "alive": untilAlive, "terminate": terminate,
		},
	})
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits code command…")
	}
	code := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		failed, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v", err)
		}
		code = failed.ExitCode()
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
}

func mkSecret(ts *testscript.TestScript, _ bool, args []string) {
	line := rand.Text() + rand.Text() + "\n"
	if len(args) == 2 {
		line = args[1] + "=" + ts.Getenv("GOODSECRET") + "\n"
	}
	f, err := os.OpenFile(ts.MkAbs(args[0]), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	ts.Check(err)
	_, err = f.WriteString(line)
	ts.Check(errors.Join(err, f.Close()))
}

var freshLine = regexp.MustCompile(`(?m)^ +JWT_SECRET=([A-Za-z0-9_-]{43})$`)

func freshSecretOf(ts *testscript.TestScript, _ bool, _ []string) {
	found := freshLine.FindStringSubmatch(ts.ReadFile("stdout"))
	if found == nil {
		ts.Fatalf("there is no fresh secret on standard output")
	}
	ts.Setenv("FRESH", found[1])
}

func claimsOf(ts *testscript.TestScript, _ bool, args []string) {
	parts := strings.Split(strings.TrimSpace(ts.ReadFile("stdout")), ".")
	if len(parts) != 3 {
		ts.Fatalf("standard output is not a token")
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	ts.Check(err)
	var claims map[string]any
	ts.Check(json.Unmarshal(payload, &claims))
	expires, _ := claims["exp"].(float64)
	issued, _ := claims["iat"].(float64)
	if age := time.Since(time.Unix(int64(issued), 0)); age < -time.Second || age > time.Minute {
		ts.Fatalf("iat is %v ago", age)
	}
	claims["lives"] = time.Duration(expires-issued) * time.Second
	delete(claims, "exp")
	delete(claims, "iat")
	for _, arg := range args {
		name, want, _ := strings.Cut(arg, "=")
		got := fmt.Sprint(claims[name])
		switch value := claims[name].(type) {
		case []any:
			got = strings.Trim(strings.ReplaceAll(got, " ", ","), "[]")
		case time.Duration:
			if long, err := time.ParseDuration(want); err == nil && long == value {
				got = want
			}
		}
		if got != want {
			ts.Fatalf("%s is %s, want %s", name, got, want)
		}
		delete(claims, name)
	}
	if len(claims) > 0 {
		ts.Fatalf("the token has also %v", claims)
	}
}

func freePortOf(ts *testscript.TestScript, _ bool, _ []string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Setenv("PORT", strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
	ts.Check(l.Close())
}

func untilAlive(ts *testscript.TestScript, _ bool, _ []string) {
	for range 1000 {
		if c, err := net.Dial("tcp", "127.0.0.1:"+ts.Getenv("PORT")); err == nil {
			ts.Check(c.Close())
			return
		}
		<-time.After(10 * time.Millisecond)
	}
	ts.Fatalf("nobody listens on %s", ts.Getenv("PORT"))
}

func terminate(ts *testscript.TestScript, _ bool, _ []string) {
	all := ts.BackgroundCmds()
	ts.Check(all[len(all)-1].Process.Signal(syscall.SIGTERM))
}
