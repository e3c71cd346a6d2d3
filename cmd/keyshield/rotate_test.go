package main

import (
	"io"
	"strings"
	"testing"
)

// hands do something at the machine and then press keys, step by step.
type hands struct{ moves []func() string }

func (h *hands) Read(p []byte) (int, error) {
	if len(h.moves) == 0 {
		return 0, io.EOF
	}
	move := h.moves[0]
	h.moves = h.moves[1:]
	return copy(p, move()+"\n"), nil
}

func typing(keys string) func() string { return func() string { return keys } }

// rotates runs rotate with somebody at the terminal.
func (s *station) rotates(typed io.Reader, args ...string) (code int, said string) {
	s.t.Helper()
	out := newLogbook("what rotate says in " + s.t.Name())
	p := process{args: append([]string{"rotate"}, args...), dir: s.dir, stdout: out, stderr: out, typed: typed}
	for name, value := range s.env {
		p.environ = append(p.environ, name+"="+value)
	}
	code = run(s.t.Context(), p)
	return code, out.String()
}

func TestRotateGoesOnOnlyWhenTheNewKeyIsInUse(t *testing.T) {
	t.Parallel()
	k := openKeyFile(t)
	fresh := freshKey()
	k.sim.Accept(canary, fresh)
	code, said := k.rotates(&hands{[]func() string{
		typing(""), // made
		typing(""), // put, as he says
		func() string { k.put(fresh, canary); return "" },
		func() string { return fresh },                            // pasted by mistake
		typing(""),                                                // the old one is still there
		func() string { k.put(fresh); return "" },                 // taken out
		func() string { k.sim.Accept(fresh); return "" },          // revoked
		func() string { k.asks("ana"); k.recorded(1); return "" }, // looked
	}})
	if code != exitOK {
		t.Fatalf("%d\n%s", code, said)
	}
	at := 0
	for _, want := range []string{
		"Never paste a key in here", printOf(canary), "1 of 5: make a new key", "Model capabilities",
		"2 of 5: put it first", "Its place is " + k.path, "Not yet: " + printOf(canary) + " is in use, as before",
		"The new key " + printOf(fresh) + " is in use, from file " + k.path,
		"3 of 5: take the old key out", "If that was a key", "Not yet: the server still has " + printOf(canary), "The server has only new keys.",
		"4 of 5: revoke the old key", "5 of 5: see that nobody has noticed", "1 request was answered, none failed.", "Done.",
	} {
		i := strings.Index(said[at:], want)
		if i < 0 {
			t.Fatalf("after %q there is no %q:\n%s", said[max(0, at-60):at], want, said)
		}
		at += i
	}
	if strings.Contains(said, fresh) {
		t.Error("the key is shown")
	}
}

func TestRotateWithoutATerminalShowsAllSteps(t *testing.T) {
	t.Parallel()
	s := openStation(t, "OPENAI_PROJECT=proj_test")
	for name, typed := range map[string]io.Reader{"none": nil, "that ends": strings.NewReader("")} {
		code, said := s.rotates(typed)
		for _, want := range []string{"5 of 5", "in the project proj_test", "restart the server", "the environment of the service", "OPENAI_API_KEYS"} {
			if code != exitOK || !strings.Contains(said, want) {
				t.Errorf("a terminal: %s: %d, no %q:\n%s", name, code, want, said)
			}
		}
	}
	code, said := s.rotates(nil, "--incident")
	if stop, first := strings.Index(said, "stop the loss"), strings.Index(said, "make a new key"); code != exitOK || stop < 0 || stop > first || !strings.Contains(said, "keyshield reconcile") {
		t.Errorf("in an incident: %d\n%s", code, said)
	}
	s.stop()
	if code, said := s.rotates(nil); code != exitOK || !strings.Contains(said, "These steps go by the settings here") || !strings.Contains(said, "the environment of the service") {
		t.Errorf("without a server: %d\n%s", code, said)
	}
}

func TestRotateCanBeLeft(t *testing.T) {
	t.Parallel()
	s := openStation(t)
	code, said := s.rotates(&hands{[]func() string{typing("s"), typing(""), typing("q")}})
	if code != exitFailed || !strings.Contains(said, "Not yet: "+printOf(canary)) || !strings.Contains(said, "Left.") || strings.Contains(said, "3 of 5") {
		t.Errorf("%d\n%s", code, said)
	}
}

// TestRotateDoesNotJudgeWhatItNeverSaw: a server that began on the way may have the old
// key still.
func TestRotateDoesNotJudgeWhatItNeverSaw(t *testing.T) {
	t.Parallel()
	s := openStation(t)
	s.stop()
	code, said := s.rotates(&hands{[]func() string{
		typing(""),                               // made
		func() string { s.restart(); return "" }, // put, with the old key in its place
		typing(""), typing(""), typing(""),       // taken out, revoked, looked
	}})
	if code != exitOK || strings.Contains(said, "only new keys") || !strings.Contains(said, "The server has "+printOf(canary)+" from ") || !strings.Contains(said, "is not known here") {
		t.Errorf("%d\n%s", code, said)
	}
}

// TestRotateKnowsWhereKeysStand: an operator under pressure gets the very place, and a
// command to paste.
func TestRotateKnowsWhereKeysStand(t *testing.T) {
	t.Parallel()
	for setting, wants := range map[string][]string{
		"OPENAI_KEY_SOURCE=aws-sm:prod/openai":                         {"--secret-id 'prod/openai' --secret-string file://", "keyshield keys --reload"},
		"OPENAI_KEY_SOURCE=gcp-sm:projects/my-project/secrets/oai":     {"gcloud secrets versions add 'projects/my-project/secrets/oai' --data-file=", "keyshield keys --reload"},
		"OPENAI_KEY_SOURCE=doppler:backend/prd":                        {"doppler secrets set OPENAI_API_KEYS --silent --project backend --config prd", "keyshield keys --reload"},
		"OPENAI_API_KEYS=test-key-one-0123456789,test-key-two-9876543": {"first in OPENAI_API_KEYS", "restart the server"},
		"OPENAI_API_KEY=" + freshKey():                                 {"Put the new key into OPENAI_API_KEY.", "restart the server"},
	} {
		code, said, stderr := once(t, t.TempDir(), nil, "rotate", setting, "DOPPLER_TOKEN=test-token-of-doppler-0123")
		for _, want := range wants {
			if code != exitOK || !strings.Contains(said, want) {
				t.Errorf("%.30s: %d, no %q:\n%s%s", setting, code, want, said, stderr)
			}
		}
	}
}

// TestRotateOfAServerElsewhereDoesNotGoByTheSettingsHere: they are another server's.
func TestRotateOfAServerElsewhereDoesNotGoByTheSettingsHere(t *testing.T) {
	t.Parallel()
	s := openStation(t)
	for server, told := range map[string]string{"http://127.0.0.1:1": "does not answer", "http://api.example.com": "must begin with https://"} {
		code, said := s.rotates(nil, "--incident", "--server", server)
		if code != exitFailed || !strings.Contains(said, told) || strings.Contains(said, "1 of") {
			t.Errorf("%s: %d\n%s", server, code, said)
		}
	}
}
