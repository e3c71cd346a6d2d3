package ledger_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"keyshield/internal/apierr"
	"keyshield/internal/ledger"
	"keyshield/internal/money"
)

// open opens a ledger that is closed with the test, and is not about the disk.
func open(t testing.TB, opts ledger.Options) *ledger.Ledger {
	t.Helper()
	return openStrict(t, opts.Relaxed())
}

// openStrict opens a ledger as a server does.
func openStrict(t testing.TB, opts ledger.Options) *ledger.Ledger {
	t.Helper()
	l, err := ledger.Open(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return l
}

func user(n int) ledger.User {
	return ledger.User{Key: fmt.Sprintf("pseudonym-of-user-%026d", n), Issuer: "https://id.example", ID: fmt.Sprint("user-", n)}
}

// request is one without caps.
func request(id string, u ledger.User, ceiling money.USD) ledger.Request {
	free := ledger.NoCap()
	return ledger.Request{
		ID: id, User: u, Model: "gpt-6-luna", Ceiling: ceiling, Prices: "2026-11-21",
		Caps: ledger.Caps{Day: free, Month: free, UserDay: free, UserMonth: free},
	}
}

func flush(t testing.TB, l *ledger.Ledger) {
	t.Helper()
	if err := l.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// code is the refusal's code, "" for none.
func code(t testing.TB, err error) string {
	t.Helper()
	if err == nil {
		return ""
	}
	refusal, ok := errors.AsType[*apierr.Error](err)
	if !ok {
		t.Fatalf("%v is no refusal", err)
	}
	return refusal.Code
}

// result carries a call's two results into must.
type result[T any] struct {
	value T
	err   error
}

func of[T any](value T, err error) result[T] { return result[T]{value, err} }

func must[T any](t testing.TB, r result[T]) T {
	t.Helper()
	if r.err != nil {
		t.Fatal(r.err)
	}
	return r.value
}

// reserve charges user 1, who has no caps.
func reserve(t testing.TB, l *ledger.Ledger, id string, ceiling money.USD) *ledger.Hold {
	t.Helper()
	h, err := l.Reserve(context.Background(), request(id, user(1), ceiling))
	if err != nil {
		t.Fatal(err)
	}
	return h
}
