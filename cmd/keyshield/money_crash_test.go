package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"keyshield/internal/money"
	"keyshield/internal/sim"
)

// build makes the real program.
func build(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "keyshield")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return binary
}

// machine runs the real program on one port and one DATA_DIR, again and again.
type machine struct {
	*purse
	binary, dir string
	environ     []string
	running     *exec.Cmd
}

func newMachine(t *testing.T, data string, extra ...string) *machine {
	t.Helper()
	s := sim.New(sim.Options{Key: canary})
	back := httptest.NewServer(s)
	t.Cleanup(func() { s.Close(); back.Close() })
	port := freePort(t)
	log := newLogbook("a log of " + t.Name())
	r := &rig{t: t, log: log, sim: s, back: back, web: newWeb(t), addr: net.JoinHostPort("127.0.0.1", port)}
	r.url = "http://" + r.addr
	env := append([]string{"DATA_DIR=" + data, "PORT=" + port, fmt.Sprint("MAX_OUTPUT_TOKENS=", moneyOutput), "MAX_STREAMS_PER_USER=off"}, extra...)
	m := &machine{purse: &purse{rig: r, data: data, env: env}, binary: build(t), dir: t.TempDir(), environ: os.Environ()}
	for name, value := range with(settings(back.URL), env...) {
		m.environ = append(m.environ, name+"="+value)
	}
	t.Cleanup(m.kill)
	return m
}

// boot starts the program and returns how long it took until it listened.
func (m *machine) boot() time.Duration {
	m.t.Helper()
	began := time.Now()
	m.running = exec.Command(m.binary, "serve")
	m.running.Dir, m.running.Env, m.running.Stderr = m.dir, m.environ, m.log
	if err := m.running.Start(); err != nil {
		m.t.Fatal(err)
	}
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for ; time.Since(began) < 10*time.Second; <-tick.C {
		if c, err := net.Dial("tcp", m.addr); err == nil {
			c.Close()
			return time.Since(began)
		}
	}
	m.t.Fatalf("nobody listens:\n%s", m.log)
	return 0
}

// kill is kill -9.
func (m *machine) kill() {
	if m.running != nil {
		_ = m.running.Process.Kill()
		_ = m.running.Wait()
		m.running = nil
	}
}

func TestDrillKill9NeverPassesTheBudget(t *testing.T) { kill9(t, 5) }
func TestSoakKill9NeverPassesTheBudget(t *testing.T)  { soak(t); kill9(t, 50) }

// kill9 kills the server at random moments under load, and starts it again on the
// same data. Every call costs OpenAI's full price, however it ended.
func kill9(t *testing.T, kills int) {
	words := []string{"size=5000", "size=5000 latency=20ms", "usage=missing size=5000", "chunks=20 pace=5ms size=5000", "status=500 bill", "fault=cut size=5000"}
	longest := question{"[[sim harsh chunks=20 pace=5ms size=5000]] hello 0", streamed}
	ceiling := ceilingOf(t, longest)
	limit := money.USD(60*kills) * ceiling
	m := newMachine(t, t.TempDir(), dollars("BUDGET_DAY", limit), "LOG_LEVEL=error")
	tokens := m.tokens(10)
	ctx, stop := context.WithCancel(context.Background())
	var clients sync.WaitGroup
	for worker := range 12 {
		clients.Go(func() {
			for ctx.Err() == nil {
				q := question{fmt.Sprintf("[[sim harsh %s]] hello", words[rand.IntN(len(words))]), []string{wholeAnswer, streamed}[rand.IntN(2)]}
				if v := m.sendOnce(ctx, tokens[worker%10], q, rand.IntN(2)*20); v.said == "no answer" || v.said[0] == '4' {
					<-time.After(2 * time.Millisecond) // dead, or poor
				}
			}
		})
	}
	var slowest time.Duration
	for range kills {
		slowest = max(slowest, m.boot())
		<-time.After(time.Duration(10+rand.IntN(150)) * time.Millisecond)
		m.kill()
	}
	slowest = max(slowest, m.boot())
	stop()
	clients.Wait()
	books, bill := m.rested(), m.bill()
	t.Logf("%d kills; %d calls, billed %v, used %v (%v proven, %v at the ceiling), budget %v; slowest start %v", kills, m.asked(), bill, books.Day.Used, books.Day.Proven, books.Day.AtCeiling, limit, slowest)
	if bill > nanoUSD(limit) || books.Day.Used > nanoUSD(limit) {
		t.Errorf("billed %v, used %v; the budget is %v", bill, books.Day.Used, limit)
	}
	if books.Day.Used < bill {
		t.Errorf("the ledger has lost something: used %v, billed %v", books.Day.Used, bill)
	}
	if slowest > time.Second {
		t.Errorf("a start took %v", slowest)
	}
	if m.asked() < int64(10*kills) {
		t.Errorf("%d calls in %d runs: this shows nothing", m.asked(), kills)
	}
}
