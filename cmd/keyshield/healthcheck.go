package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"keyshield/internal/config"
)

const healthTimeout = 3 * time.Second

// healthcheck asks the server on this machine whether it is alive: for a
// container that has no shell and no curl.
func healthcheck(ctx context.Context, p process) int {
	if exit, ok := flags(p, "healthcheck", nil); !ok {
		return exit
	}
	cfg := config.Load(config.Serve, p.environ, p.dir).Config.Server
	ctx, cancel := context.WithTimeout(ctx, healthTimeout)
	defer cancel()
	var err error
	for _, host := range loopbacks(cfg.Host) {
		if err = alive(ctx, net.JoinHostPort(host, strconv.Itoa(cfg.Port))); err == nil {
			return exitOK
		}
	}
	fmt.Fprintf(p.stderr, "keyshield healthcheck: %v\n", err)
	return exitFailed
}

// loopbacks are the addresses at which a server that listens on host is found
// from this machine. They are numbers: an image without /etc/hosts knows no
// "localhost".
func loopbacks(host string) []string {
	if ip := net.ParseIP(host); host != "" && (ip == nil || !ip.IsUnspecified()) {
		return []string{host}
	}
	return []string{"127.0.0.1", "::1"}
}

func alive(ctx context.Context, address string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/livez", nil)
	if err != nil {
		return err
	}
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		return err
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %d", req.URL, resp.StatusCode)
	}
	return nil
}
