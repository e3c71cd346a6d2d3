package ledger_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"keyshield/internal/ledger"
)

// BenchmarkReserveAndSettle reports the CPU time of a whole call, how many calls
// a second the disk carries, and how long a reserve takes.
func BenchmarkReserveAndSettle(b *testing.B) {
	for _, clients := range []int{1, 64, 256} {
		b.Run(fmt.Sprint(clients), func(b *testing.B) {
			l := openStrict(b, ledger.Options{Dir: b.TempDir()})
			waits := make([]time.Duration, 0, b.N)
			var mu sync.Mutex
			var next, refused atomic.Int64
			before := cpuTime()
			b.ResetTimer()
			var wg sync.WaitGroup
			for range clients {
				wg.Go(func() {
					mine := make([]time.Duration, 0, b.N/clients+1)
					for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
						r := request(fmt.Sprintf("%024x", i), user(int(i%1000)), 1000)
						start := time.Now()
						h, err := l.Reserve(context.Background(), r)
						mine = append(mine, time.Since(start))
						if err != nil {
							refused.Add(1) // the disk is not ours alone
							continue
						}
						if err := h.Use(); err != nil {
							b.Error(err)
						}
						if err := h.Settle(ledger.Usage{Input: 100, Output: 50, Cost: 700}); err != nil {
							b.Error(err)
						}
					}
					mu.Lock()
					waits = append(waits, mine...)
					mu.Unlock()
				})
			}
			wg.Wait()
			flush(b, l)
			b.StopTimer()
			slices.Sort(waits)
			b.ReportMetric(float64(cpuTime()-before)/float64(b.N)/1e3, "cpu-µs/op")
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "op/s")
			b.ReportMetric(float64(waits[len(waits)*99/100])/1e6, "p99-ms")
			b.ReportMetric(float64(refused.Load()), "refused")
		})
	}
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
