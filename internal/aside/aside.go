// Package aside does deep work on a stack of its own.
//
// A stack that has grown once stays so for as long as its goroutine lives. Under
// a stream that is minutes, and there are thousands of streams: what net/http
// needs to ask, or a signature to be checked, would cost each of them 8 KiB.
package aside

import (
	"fmt"
	"runtime/debug"
)

// Run runs f on another goroutine and waits for it. A panic of f is the caller's,
// as a *Panic.
func Run(f func()) {
	var caught *Panic
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if p := recover(); p != nil {
				caught = &Panic{Value: p, Stack: debug.Stack()}
			}
		}()
		f()
	}()
	if <-done; caught != nil {
		panic(caught)
	}
}

// Panic is a panic with the stack that it came from.
type Panic struct {
	Value any
	Stack []byte
}

func (p *Panic) Error() string { return fmt.Sprintf("%v\n%s", p.Value, p.Stack) }
