package watch

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"keyshield/internal/money"
)

// fixed is a watch whose clock is now.
func fixed(t testing.TB, now *time.Time, path string) *Watch {
	t.Helper()
	w, err := New(Options{
		Path: path, Month: 20 * money.Dollar, DisableFor: time.Hour,
		Act: func(Alarm) {}, Now: func() time.Time { return *now },
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestManyUsersTakeNoMoreThanTheTableHolds(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	path := filepath.Join(t.TempDir(), "state")
	w := fixed(t, &now, path)
	w.closing.Do(func() { // on a slow machine the upkeep would write, and so take memory, in the midst
		close(w.stop)
		w.done.Wait()
	})
	before := heap()
	const n = 3 * maxUsers
	last := ""
	for i := range n {
		now = now.Add(time.Hour / n)
		last = fmt.Sprintf("%043d", i)
		w.See(Seen{Key: last, IP: netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})})
	}
	active := heap() - before
	now = now.Add(2 * time.Hour)
	w.table.rest(now.Unix())
	if n := w.table.active.Load(); n != 0 {
		t.Errorf("%d users are active after two hours of silence", n)
	}
	idle := heap() - before
	users := 0
	for i := range w.table.shards {
		users += len(w.table.shards[i].users)
	}
	if users > maxUsers || users < maxUsers*9/10 {
		t.Errorf("%d users are known, want %d at the most", users, maxUsers)
	}
	if w.table.shard(last).users[last] == nil || w.table.shard("x").users[fmt.Sprintf("%043d", 0)] != nil {
		t.Error("the least recently seen were not the ones to go")
	}
	t.Logf("%d bytes for an active user, %d for an idle one", active/maxUsers, idle/maxUsers)
	if idle > 280*maxUsers || active > 900*maxUsers {
		t.Errorf("%d bytes for an active user, %d for an idle one: want 900 and 280 at the most", active/maxUsers, idle/maxUsers)
	}
	if _, err := w.save(); err != nil {
		t.Fatal(err)
	}
	again := fixed(t, &now, path)
	restored := 0
	for i := range again.table.shards {
		restored += len(again.table.shards[i].users)
	}
	if restored < maxUsers*9/10 || again.table.shard(last).users[last] == nil {
		t.Errorf("%d users after a restart, of %d", restored, users)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}

func TestCountsAreNeverNegative(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	w := newWindow()
	var p past
	rules := userRules(20 * money.Dollar)
	now := int64(1_700_000_000)
	for range 100_000 {
		switch random.IntN(20) {
		case 0:
			now += random.Int64N(2 * day)
		case 1:
			now = max(0, now-random.Int64N(2*day))
		default:
			now += random.Int64N(40)
		}
		if w.over(now) {
			p.begin(w, now, &rules, nil)
		}
		w.add(&sight{now: now, asked: 1, refused: random.Int64N(2), proven: random.Int64() - math.MaxInt64/2, from: random.Uint64(), located: true})
		for s, v := range w.now {
			if v < 0 || w.peak[s] < v || w.limits.alert[s] <= 0 {
				t.Fatalf("signal %d: %d now, peak %d, alert at %d", s, v, w.peak[s], w.limits.alert[s])
			}
		}
		if w.now[addresses] > maxAddress || w.now[refusals] > w.now[requests] {
			t.Fatalf("%v", w.now)
		}
	}
}

func TestTheCrowdIsExactlyTheDaysThatAreRemembered(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	w := fixed(t, &now, filepath.Join(t.TempDir(), "state"))
	defer w.Close()
	w.table.each = 3 // so that some are forgotten
	for range 40 {
		for i := range 300 {
			for range 6 {
				w.See(Seen{Key: fmt.Sprintf("user-%d", i)})
			}
		}
		now = now.Add(24 * time.Hour)
		w.table.rest(now.Unix())
	}
	days, counted := 0, 0
	for i := range w.table.shards {
		for _, u := range w.table.shards[i].users {
			days += int(u.days)
		}
	}
	for i := range w.crowd.days[requests] {
		n := w.crowd.days[requests][i].Load()
		if n < 0 {
			t.Errorf("%d days of level %d", n, i)
		}
		counted += int(n)
	}
	if days != counted || days < crowdFrom {
		t.Errorf("%d days are counted, of %d that are remembered", counted, days)
	}
	w.crowd.settle()
	if got := w.crowd.busy().value(requests); math.Round(got) != 6 {
		t.Errorf("the busy tenth makes %.1f requests in a minute, want 6", got)
	}
	newcomer := past{}
	if got := newcomer.usual(w.crowd.busy(), now.Unix()); got != w.crowd.busy() {
		t.Error("a newcomer is not compared with the crowd")
	}
}

func TestLevelsAreWithinSixPerCent(t *testing.T) {
	for s := range signals {
		last := uint8(0)
		for v := int64(1); v < 1<<40; v += v/10 + 1 {
			n := v
			if s == dollars {
				n = v * dollarUnit
			}
			l := levels{}
			l[s] = levelOf(s, n)
			if l[s] < last {
				t.Fatalf("%s: the level of %d is below that of less", signalNames[s], n)
			}
			last = l[s]
			if got := l.value(s); math.Abs(got/float64(n)-1) > 0.06 {
				t.Errorf("%s: %d is remembered as %.0f", signalNames[s], n, got)
			}
		}
	}
}

func TestDistinctAddressesOfEverythingAreWithinThreePerCent(t *testing.T) {
	var b bitmap
	random := rand.New(rand.NewPCG(5, 6))
	for n := int64(1); n <= 200_000; n++ {
		hash := random.Uint64()
		got := b.add(hash)
		if again := b.add(hash); again != got {
			t.Fatalf("the same address again: %d, want %d", again, got)
		}
		if math.Abs(float64(got-n)) > 2+0.03*float64(n) {
			t.Fatalf("%d addresses are counted as %d", n, got)
		}
	}
}

func TestManySeeAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state")
	var mu sync.Mutex
	heard := 0
	var w *Watch
	w, err := New(Options{Path: path, Month: 20 * money.Dollar, DisableFor: time.Hour, Act: func(a Alarm) {
		w.Forgive(a.Key)
		mu.Lock()
		defer mu.Unlock()
		heard++
	}})
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for g := range 16 {
		group.Go(func() {
			for i := range 3000 {
				s := Seen{Key: fmt.Sprint("user-", i%50), IP: netip.AddrFrom4([4]byte{10, byte(g), byte(i >> 8), byte(i)}), Proven: 1, At: time.Now()}
				if i%3 == 0 {
					s.Refused, s.Code = true, "rate_limited"
				}
				w.See(s)
				if i%500 == 0 {
					w.table.rest(time.Now().Unix())
					w.all.rest(time.Now().Unix())
					w.crowd.settle()
					w.encode()
				}
			}
		})
	}
	group.Wait()
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if heard == 0 {
		t.Error("no alarm of 48,000 requests")
	}
}

func FuzzState(f *testing.F) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	w := fixed(f, &now, "")
	f.Add(appendSum(w.encode()))
	for i := range 20 * 24 {
		now = now.Add(time.Hour)
		w.See(Seen{Key: fmt.Sprint("user-", i%3), Proven: money.Dollar / 100})
	}
	f.Add(appendSum(w.encode()))
	if err := w.Close(); err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := decode(b); err != nil && !errors.Is(err, errDamaged) {
			t.Errorf("not said to be damaged, and so not set aside: %v", err)
		}
		// Whatever has the right checksum too: what can be read is written the same.
		body := append([]byte(magic), bytes.TrimPrefix(b, []byte(magic))...)
		st, err := decode(appendSum(body))
		if err != nil {
			return
		}
		again := appendHead(nil, &st.all, st.month, st.proven)
		for _, u := range st.users {
			again = appendUser(again, u.key, &u.past)
		}
		if !bytes.Equal(again, body) {
			t.Errorf("written again it differs:\n%x\n%x", body, again)
		}
		at := now
		restored := &Watch{options: Options{Now: func() time.Time { return at }, Act: func(Alarm) {}}, base: at, table: newTable(maxUsers), rules: userRules(-1)}
		restored.all.init(-1, time.Hour)
		restored.restore(st)
		for _, u := range st.users {
			restored.See(Seen{Key: u.key, Refused: true})
		}
	})
}

func TestAStateReadBackIsTheSame(t *testing.T) {
	now := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	w := fixed(t, &now, "")
	defer w.Close()
	for i := range 40 * 24 {
		now = now.Add(time.Hour)
		w.See(Seen{Key: fmt.Sprint("user-", i%3), Proven: money.Dollar / 100})
	}
	first, err := decode(appendSum(w.encode()))
	if err != nil {
		t.Fatal(err)
	}
	other := fixed(t, &now, "")
	defer other.Close()
	other.restore(first)
	second, err := decode(appendSum(other.encode()))
	if err != nil {
		t.Fatal(err)
	}
	byKey := func(a, b remains) int { return bytes.Compare([]byte(a.key), []byte(b.key)) }
	slices.SortFunc(first.users, byKey)
	slices.SortFunc(second.users, byKey)
	if diff := cmp.Diff(first, second, cmp.AllowUnexported(state{}, past{}, remains{})); diff != "" {
		t.Error(diff)
	}
	if len(second.users) != 3 || second.users[0].days != remembered || second.proven == 0 {
		t.Errorf("%+v", second)
	}
}

func BenchmarkSee(b *testing.B) {
	now := time.Now()
	w := fixed(b, &now, "")
	defer w.Close()
	keys := make([]string, 10_000)
	for i := range keys {
		keys[i] = fmt.Sprintf("%043d", binary.BigEndian.Uint16([]byte{byte(i >> 8), byte(i)}))
	}
	for _, users := range []int{1, len(keys)} {
		b.Run(fmt.Sprint(users, " users"), func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for i := 0; pb.Next(); i++ {
					w.See(Seen{Key: keys[i%users], IP: netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), At: time.Now(), Proven: 1000})
				}
			})
		})
	}
}
