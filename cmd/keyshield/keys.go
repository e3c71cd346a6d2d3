package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"keyshield/internal/config"
	"keyshield/internal/disk"
	"keyshield/internal/secret"
	"keyshield/internal/upstream"
	"keyshield/internal/upstream/source"
)

// keysTimeout is how long a start waits for the keys of a vault.
const keysTimeout = 30 * time.Second

// openKeys reads the keys and readies the client that asks OpenAI with them. Where
// they can change, poll reads them again.
func openKeys(ctx context.Context, g program, b *bell) (client *upstream.Client, poll *poller, err error) {
	src, every, err := keySource(ctx, g)
	if err != nil {
		return nil, nil, err
	}
	aged := &agedSource{Source: src, path: filepath.Join(g.cfg.Money.DataDir, keyAges)}
	reading, cancel := context.WithTimeout(ctx, keysTimeout)
	defer cancel()
	keys, err := aged.Read(reading)
	if err != nil {
		return nil, nil, fmt.Errorf("the keys for OpenAI: %w", err)
	}
	cfg := upstreamConfig(g.cfg)
	cfg.Keys, cfg.Mask, cfg.Learn, cfg.Tell = keys, g.hide.logged.Learn, g.hide.learn, b.key
	if client, err = upstream.New(cfg); err != nil || every == 0 {
		return client, nil, err
	}
	return client, &poller{Poller: source.NewPoller(aged, client, every), source: aged, client: client}, nil
}

// keySource is where the settings say that keys are, and how often to look; 0 is
// never again.
func keySource(ctx context.Context, g program) (source.Source, time.Duration, error) {
	c := g.cfg.OpenAI
	if c.Source.Kind != "" {
		src, err := source.Open(ctx, c.Source.Kind, c.Source.Name, source.Options{
			Getenv: g.getenv, DopplerToken: c.DopplerToken, Endpoint: c.SourceURL,
		})
		return src, c.KeyRefresh, err
	}
	if len(g.cfg.KeyFiles) == 0 {
		return source.Env(envKeys(c)...), 0, nil
	}
	// Of the two names either may be a file, and the other none.
	var all []source.Source
	if files := len(g.cfg.KeyFiles); files == 1 && !c.Key.IsZero() && !c.Keys.IsZero() {
		all = append(all, source.Env(envKeys(inEnvironment(c, g))...))
	}
	for _, path := range g.cfg.KeyFiles {
		all = append(all, source.File(path))
	}
	return source.Join(all...), min(c.KeyRefresh, source.FileEvery), nil
}

// inEnvironment is c without what stands in a file.
func inEnvironment(c config.OpenAI, g program) config.OpenAI {
	for _, s := range g.shown {
		if strings.HasPrefix(string(s.Source), "file ") {
			switch s.Name {
			case "OPENAI_API_KEY":
				c.Key = secret.String{}
			case "OPENAI_API_KEYS":
				c.Keys = secret.String{}
			}
		}
	}
	return c
}

func envKeys(c config.OpenAI) []upstream.Key {
	var keys []upstream.Key
	for _, s := range c.AllKeys() {
		keys = append(keys, upstream.Key{Secret: s, Source: "environment"})
	}
	return keys
}

func upstreamConfig(cfg config.Config) upstream.Config {
	return upstream.Config{
		BaseURL:      cfg.OpenAI.BaseURL,
		Organization: cfg.OpenAI.Organization,
		Project:      cfg.OpenAI.Project,
		Timeout:      cfg.OpenAI.UpstreamTimeout,
		StreamIdle:   cfg.OpenAI.StreamIdleTimeout,
		StreamMax:    cfg.OpenAI.StreamMax,
	}
}

// poller reads a source again: by the clock, and now.
type poller struct {
	*source.Poller
	source source.Source
	client *upstream.Client
}

// now reads at once and returns what came of it.
func (p *poller) now(ctx context.Context) error {
	keys, err := p.source.Read(ctx)
	if err != nil {
		if ctx.Err() == nil { // else whoever asked did not wait, which is not its fault
			p.client.SourceFailed(p.source.String(), err)
		}
		return err
	}
	return p.client.Replace(ctx, keys)
}

// keyAges is the file in DATA_DIR that says when each key was first seen, by its
// fingerprint: most sources do not say how old a key is.
const keyAges = "keys.json"

// agedSource gives keys an age that have none. That a date is lost, or cannot be
// kept, harms nobody: the key is younger then.
type agedSource struct {
	source.Source
	path string
	mu   sync.Mutex
}

func (a *agedSource) Read(ctx context.Context) ([]upstream.Key, error) {
	keys, err := a.Source.Read(ctx)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	seen := a.load()
	before := maps.Clone(seen)
	keys = slices.Clone(keys)
	for i, k := range keys {
		if !k.Since.IsZero() {
			continue
		}
		name := upstream.Fingerprint(k.Secret)
		if seen[name].IsZero() {
			seen[name] = time.Now().UTC().Truncate(time.Second)
		}
		keys[i].Since = seen[name]
	}
	if !maps.Equal(before, seen) {
		a.keep(seen)
	}
	return keys, nil
}

// maxAges bounds the file: who rotates every quarter fills it in decades.
const maxAges = 256

func (a *agedSource) load() map[string]time.Time {
	seen := map[string]time.Time{}
	text, err := os.ReadFile(a.path)
	if err == nil && json.Unmarshal(text, &seen) != nil || errors.Is(err, fs.ErrNotExist) || len(seen) > maxAges || seen == nil {
		return map[string]time.Time{}
	}
	return seen
}

func (a *agedSource) keep(seen map[string]time.Time) {
	text, err := json.MarshalIndent(seen, "", "  ")
	if err != nil {
		return
	}
	_ = disk.Replace(a.path, append(text, '\n')) // without it the ages begin anew
}
