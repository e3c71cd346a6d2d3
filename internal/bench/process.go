package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// side is where a process runs: the proxy on a core of its own, everything
// else on the others.
type side int

const (
	otherCores side = iota
	proxyCore
)

// patience is how long a process may take to start or to stop.
const patience = 20 * time.Second

// process is a running child.
type process struct {
	cmd     *exec.Cmd
	address string        // where it listens
	answer  *json.Decoder // of what it prints, if it is one of our roles
	log     string        // the file with its log, if it writes one
	stop    func() error  // ends it; the error says that it did not end well. May be called twice
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// launch starts cmd on its side of the machine, and ends it with SIGTERM.
func launch(ctx context.Context, cmd func(context.Context) *exec.Cmd, on side) (*process, error) {
	ctx, cancel := context.WithCancel(ctx)
	c := cmd(ctx)
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	c.WaitDelay = patience
	c.Env = append(c.Env, fmt.Sprintf("GOMAXPROCS=%d", cores(on)))
	if err := startOn(c, on); err != nil {
		cancel()
		return nil, err
	}
	end := sync.OnceValue(func() error {
		cancel()
		err := c.Wait()
		if code := c.ProcessState.ExitCode(); code != 0 {
			return fmt.Errorf("%s ended with %v (%w)", c.Path, c.ProcessState, err)
		}
		return nil
	})
	return &process{cmd: c, stop: end}, nil
}

// startRole starts this program again in a role. It gets its plan on standard
// input, which stays open: its end means that we are gone.
func (r *rig) startRole(ctx context.Context, role string, on side, plan any) (*process, error) {
	said, err := json.Marshal(plan)
	if err != nil {
		return nil, err
	}
	var in io.WriteCloser
	var out io.ReadCloser
	p, err := launch(ctx, func(ctx context.Context) *exec.Cmd {
		c := exec.CommandContext(ctx, r.self, roleArgument, role)
		c.Stderr = os.Stderr
		c.Env = []string{} // not the caller's
		in, _ = c.StdinPipe()
		out, _ = c.StdoutPipe()
		return c
	}, on)
	if err != nil {
		return nil, err
	}
	p.answer = json.NewDecoder(out)
	if _, err = in.Write(append(said, '\n')); err == nil && listens(role) {
		err = p.answer.Decode(&p.address)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("the %s process: %w", role, err), p.stop())
	}
	return p, nil
}

// startKeyshield starts the program that all this is about.
func startKeyshield(ctx context.Context, r *rig, simulator string) (*process, error) {
	log, err := os.CreateTemp(r.dir, "log-")
	if err != nil {
		return nil, err
	}
	defer log.Close()
	books, err := os.MkdirTemp(r.dir, "books-") // a ledger of its own for every round
	if err != nil {
		return nil, err
	}
	p, err := launch(ctx, func(ctx context.Context) *exec.Cmd {
		c := exec.CommandContext(ctx, r.binary, "serve")
		c.Dir = r.dir // no .env there
		c.Stdout, c.Stderr = log, log
		c.Env = r.settings(simulator, books)
		return c
	}, proxyCore)
	if err != nil {
		return nil, err
	}
	p.log = log.Name()
	if p.address, err = listening(ctx, p.log); err != nil {
		return nil, errors.Join(err, p.stop())
	}
	return p, nil
}

// listening waits for the log line that says where.
func listening(ctx context.Context, file string) (string, error) {
	for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
		log, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		for line := range bytes.Lines(log) {
			var said struct{ Msg, Address string }
			if json.Unmarshal(line, &said) == nil && said.Msg == "listening" {
				return said.Address, nil
			}
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			return "", fmt.Errorf("keyshield does not listen; it says:\n%s", log)
		}
	}
}

// checkLog returns what is wrong with the log of a proxy that answered so many
// requests: logging was on only if it has a line for each.
func checkLog(file string, answered int) (problems []error) {
	log, err := os.Open(file)
	if err != nil {
		return []error{err}
	}
	defer log.Close()
	defer os.Remove(file)
	lines := 0
	for scanner := bufio.NewScanner(log); scanner.Scan(); {
		line := scanner.Bytes()
		if bytes.Contains(line, []byte(`"msg":"request"`)) {
			lines++
		}
		if bytes.Contains(line, []byte(`"level":"ERROR"`)) {
			problems = append(problems, fmt.Errorf("in its log: %s", line))
		}
	}
	if lines < answered {
		problems = append(problems, fmt.Errorf("its log has %d lines for %d requests", lines, answered))
	}
	return problems
}
