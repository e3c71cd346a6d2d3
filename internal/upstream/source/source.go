// Package source says where our keys come from: the environment, a file, or
// somebody's vault, read again and again while the program runs.
//
// Nothing of what a source answers stands in an error or a log: it is a secret, or
// lies where one should be. So errors are made of our own words, of statuses and of
// names, never of a library's text about what it read.
//
// Whatever a source does, the keys in force stay until it gives good ones: a Poller
// hands over whole sets only, and upstream tries what is new.
package source

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"strings"

	"keyshield/internal/secret"
	"keyshield/internal/upstream"
)

// Source is a place where keys are kept.
type Source interface {
	// Read returns all of the keys, the first to be used first, or why there are
	// none. It takes no longer than ctx allows.
	Read(ctx context.Context) ([]upstream.Key, error)

	// String names the source: "file /run/secrets/openai".
	String() string
}

// Options are what sources need besides the name of the secret.
type Options struct {
	// Getenv returns a setting of the vault's own tools: AWS_REGION,
	// AWS_ACCESS_KEY_ID, GOOGLE_APPLICATION_CREDENTIALS and the like; nil: none.
	Getenv func(string) string

	DopplerToken secret.String
	Endpoint     string // instead of the vault's own: https, or http to loopback
}

func (o Options) env(name string) string {
	if o.Getenv == nil {
		return ""
	}
	return o.Getenv(name)
}

// Open readies a source by its kind: aws-sm, gcp-sm or doppler. It asks nobody yet.
func Open(ctx context.Context, kind, name string, o Options) (Source, error) {
	if err := checkEndpoint(o.Endpoint); err != nil {
		return nil, err
	}
	switch kind {
	case "aws-sm":
		return openAWS(ctx, name, o)
	case "gcp-sm":
		return openGCP(name, o)
	case "doppler":
		return openDoppler(name, o)
	}
	return nil, fmt.Errorf("there is no source of keys %q: use aws-sm, gcp-sm or doppler", kind)
}

// checkEndpoint keeps secrets off the open network.
func checkEndpoint(endpoint string) error {
	if endpoint == "" {
		return nil
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" {
		return fmt.Errorf("the endpoint of the keys' source must be https://host, or http:// on this machine")
	}
	if u.Scheme == "https" || u.Scheme == "http" && loopback(u.Hostname()) {
		return nil
	}
	return fmt.Errorf("the endpoint of the keys' source must be https://%s: keys do not travel in the clear", u.Host)
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// Env is a source that never changes.
func Env(keys ...upstream.Key) Source { return env(keys) }

type env []upstream.Key

func (e env) Read(context.Context) ([]upstream.Key, error) { return e, nil }

func (e env) String() string { return "env" }

// Join reads several sources as one: the keys of the first come first, and one that
// is in two of them counts once. When one cannot be read, there is no set.
func Join(sources ...Source) Source {
	if len(sources) == 1 {
		return sources[0]
	}
	return joined(sources)
}

type joined []Source

func (j joined) Read(ctx context.Context) (all []upstream.Key, err error) {
	for _, s := range j {
		keys, err := s.Read(ctx)
		if err != nil {
			return nil, err
		}
		all = appendNew(all, keys...)
	}
	return all, nil
}

func (j joined) String() string {
	names := make([]string, len(j))
	for i, s := range j {
		names[i] = s.String()
	}
	return strings.Join(names, " and ")
}

// appendNew appends those that are not there yet.
func appendNew(all []upstream.Key, keys ...upstream.Key) []upstream.Key {
next:
	for _, k := range keys {
		for _, there := range all {
			if there.Secret.Equal(k.Secret.Reveal()) {
				continue next
			}
		}
		all = append(all, k)
	}
	return all
}
