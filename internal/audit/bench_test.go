package audit_test

import (
	"testing"

	"keyshield/internal/audit"
)

// Queue, encode, hash, write: what a request costs in all.
func BenchmarkRequest(b *testing.B) {
	for _, c := range []struct {
		name string
		wait bool
	}{{"queued", false}, {"waited", true}} {
		b.Run(c.name, func(b *testing.B) {
			l, err := audit.Open(audit.Options{Dir: b.TempDir()})
			if err != nil {
				b.Fatal(err)
			}
			r := full()
			b.ReportAllocs()
			b.SetParallelism(32)
			b.RunParallel(func(pb *testing.PB) {
				for i := 0; pb.Next(); i++ {
					l.Request(&r, c.wait)
					if i%100 == 0 {
						l.Drain() // as the ledger does: else the queue is full and nothing is measured
					}
				}
			})
			if _, lost := l.Counts(); lost > 0 {
				b.Errorf("%d records were lost", lost)
			}
			if err := l.Close(); err != nil {
				b.Fatal(err)
			}
		})
	}
}

func BenchmarkDrainOfNothing(b *testing.B) {
	l, err := audit.Open(audit.Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	for b.Loop() {
		l.Drain()
	}
}

func BenchmarkRefused(b *testing.B) {
	l, err := audit.Open(audit.Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	for b.Loop() {
		l.Refused("token_invalid")
	}
}
