package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"
)

// The roles in which this program starts itself.
const (
	roleArgument = "child"

	roleSim     = "simulator"
	roleReverse = "reverse-proxy"
	roleLoad    = "load"
	roleLedger  = "ledger"
	roleSeeing  = "seeing"
)

// listens says whether a role prints an address before anything else.
func listens(role string) bool { return role == roleSim || role == roleReverse }

// play is a child's life: it reads its plan, does its part, and ends when its
// parent does.
func play(ctx context.Context, role string, stdin io.Reader, stdout io.Writer) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	plans := json.NewDecoder(stdin)
	orphaned := func() {
		io.Copy(io.Discard, stdin)
		stop()
	}
	switch role {
	case roleSim:
		var p simPlan
		if err := plans.Decode(&p); err != nil {
			return err
		}
		go orphaned()
		return serve(ctx, p.handler(), stdout)
	case roleReverse:
		var p reversePlan
		if err := plans.Decode(&p); err != nil {
			return err
		}
		go orphaned()
		return serve(ctx, p.handler(), stdout)
	case roleLoad:
		var p plan
		if err := plans.Decode(&p); err != nil {
			return err
		}
		go orphaned()
		got, err := generate(ctx, &p)
		if err != nil {
			return err
		}
		return json.NewEncoder(stdout).Encode(got)
	case roleLedger:
		return playAlone(ctx, plans, orphaned, new(ledgerPlan), stdout)
	case roleSeeing:
		return playAlone(ctx, plans, orphaned, new(seeingPlan), stdout)
	}
	return fmt.Errorf("there is no role %q", role)
}

// playAlone is the life of a child that measures something by itself.
func playAlone(ctx context.Context, plans *json.Decoder, orphaned func(), p interface {
	measure(context.Context) (*result, error)
}, stdout io.Writer) error {
	if err := plans.Decode(p); err != nil {
		return err
	}
	go orphaned()
	got, err := p.measure(ctx)
	if err != nil {
		return err
	}
	return json.NewEncoder(stdout).Encode(got)
}

// serve prints where it listens, and answers until ctx ends.
func serve(ctx context.Context, h http.Handler, stdout io.Writer) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	web := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second}
	context.AfterFunc(ctx, func() { web.Close() })
	if err := json.NewEncoder(stdout).Encode(l.Addr().String()); err != nil {
		return err
	}
	if err := web.Serve(l); err != http.ErrServerClosed {
		return err
	}
	return nil
}

// reversePlan is the measure of all things: Go's reverse proxy, adding the key.
type reversePlan struct {
	Simulator string
	Key       string
	Idle      int // idle connections to keep; 0: as Go does
}

func (p reversePlan) handler() http.Handler {
	simulator := &url.URL{Scheme: "http", Host: p.Simulator}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(simulator)
		r.Out.Header.Set("Authorization", "Bearer "+p.Key)
	}}
	if p.Idle > 0 {
		transport := http.DefaultTransport.(*http.Transport).Clone()
		transport.MaxIdleConns, transport.MaxIdleConnsPerHost = p.Idle, p.Idle
		proxy.Transport = transport
	}
	return proxy
}
