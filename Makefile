# Needs Go, git and make; a C compiler makes the tests find data races too.

# The race detector needs cgo and a compiler that is really there.
RACE = $(shell cc=$$(go env CC); test "$$(go env CGO_ENABLED)" = 1 && command -v $${cc%% *} >/dev/null && echo -race)
# Tests never see the settings of the shell that started them: no real key, no real secret.
UNSET = unset $$(sed -n 's/^[\# ]*\([A-Z][A-Z0-9_]*\)=.*/\1 \1_FILE/p' .env.example) OPENAI_ADMIN_KEY
# Many tests wait for the time to pass in a server, so more of them run than there are
# cores: three packages of four on two.
PARALLEL = -p 3 -parallel 4
# The race detector waits a second at each exit unless told otherwise.
export GORACE = atexit_sleep_ms=10
TOOL = go tool -modfile=.ci/tools.mod
FUZZTIME = 10s

.PHONY: help run test drill lint audit fuzz cover bench build soak e2e

help: ## this list
	@sed -n 's/^\([a-z0-9]*\):.*## /\1	/p' $(MAKEFILE_LIST)

run: ## try it: a server with a built-in simulator of OpenAI, no key needed (ARGS=--live talks to OpenAI)
	@echo "building; the first time takes about a minute"
	@go build -trimpath -o bin/keyshield ./cmd/keyshield && exec bin/keyshield dev $(ARGS)

test: ## the whole suite, with -race where a C compiler is there (TESTFLAGS=-v); but for the drills
	@$(UNSET); set -x; go test $(RACE) $(PARALLEL) -skip '^TestDrill' $(TESTFLAGS) ./...

drill: ## races for the budget, kill -9, dawdlers; a stolen token, a revoked key, a dead vault, every alert and switch
	@$(UNSET); go test $(RACE) $(PARALLEL) -count=1 -run '^TestDrill' $(TESTFLAGS) ./cmd/keyshield

lint: ## gofmt, go vet, staticcheck, go mod tidy
	@out=$$(gofmt -l api cmd deploy internal); test -z "$$out" || { echo "gofmt would change: $$out"; exit 1; }
	go vet ./... && $(TOOL) staticcheck ./... && go mod tidy -diff

audit: ## known vulnerabilities in what we call (offline: VULNDB=file:///folder)
	$(TOOL) govulncheck $(if $(VULNDB),-db $(VULNDB)) ./...

fuzz: ## every fuzz target for FUZZTIME (10s)
	@$(UNSET); sh .ci/fuzz $(FUZZTIME)

cover: ## the suite with its coverage, in coverage.out
	@$(UNSET); go test -coverpkg=./cmd/...,./internal/... -coverprofile=coverage.out ./... && go tool cover -func=coverage.out | tail -n 1

bench: ## our cost beside no proxy and a bare reverse proxy (ARGS=-short)
	@$(UNSET); go run ./internal/bench $(ARGS)

build: ## bin/keyshield, static
	CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o bin/keyshield ./cmd/keyshield

e2e: ## the SDKs people use and a browser, for real (installs them: needs npm, and Chromium or root)
	@$(UNSET); sh internal/e2e/setup && KEYSHIELD_E2E=1 go test -count=1 -timeout 20m $(TESTFLAGS) ./internal/e2e

soak: ## the long proofs: every TestSoak…, minutes each
	@$(UNSET); KEYSHIELD_SOAK=1 go test -v -count=1 -timeout 30m -run '^TestSoak' ./...
