package server

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"
)

const (
	readHeaderTimeout = 5 * time.Second
	idleTimeout       = 2 * time.Minute
	maxHeader         = 16 << 10

	// farewell is the time that streams have for their error event after the
	// grace is over.
	farewell = 2 * time.Second
)

// Serve answers on l until ctx ends. Then readiness turns to 503, no connection
// is taken any more, and what is under way may end within grace; after that
// streams get an error event. It returns when everything has ended.
func (s *Server) Serve(ctx context.Context, l net.Listener, grace time.Duration) error {
	base, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	defer stop(nil)
	web := &http.Server{
		Handler:           s,
		BaseContext:       func(net.Listener) context.Context { return base },
		ReadHeaderTimeout: readHeaderTimeout,
		IdleTimeout:       idleTimeout,
		// net/http allows 4 KiB more than this.
		MaxHeaderBytes: maxHeader - 4<<10,
		ErrorLog:       slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
		Protocols:      http1Only(),
		// Else net/http answers "OPTIONS *" itself, around every gate.
		DisableGeneralOptionsHandler: true,
	}
	// What requests in flight can use twice over; more wait in accept.
	open := newCrowd(l, 2*s.cfg.MaxInFlight)
	web.ConnState, web.ConnContext = open.follow, greet

	served := make(chan error, 1)
	go func() { served <- web.Serve(open) }()

	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	s.stopping.Store(true)
	s.log.Info("stopping: running requests may end", "grace", grace)
	return s.shutDown(web, grace, stop)
}

func (s *Server) shutDown(web *http.Server, grace time.Duration, stop context.CancelCauseFunc) error {
	gentle, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	err := web.Shutdown(gentle)
	if !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	s.log.Warn("the grace is over: ending what still runs", "requests", s.inFlight.Load())
	stop(errStopping)
	last, cancel := context.WithTimeout(context.Background(), farewell)
	defer cancel()
	if web.Shutdown(last) == nil {
		return nil
	}
	s.log.Warn("clients that do not read are cut off", "requests", s.inFlight.Load())
	err = web.Close()
	s.settle()
	return err
}

// settle waits a moment for handlers whose connections were closed under them, so
// that their log lines are written.
func (s *Server) settle() {
	for range 100 {
		if s.inFlight.Load() == 0 {
			return
		}
		time.Sleep(farewell / 100)
	}
}

// http1Only leaves out h2c, which lets a client smuggle past a proxy in front.
func http1Only() *http.Protocols {
	p := new(http.Protocols)
	p.SetHTTP1(true)
	return p
}
