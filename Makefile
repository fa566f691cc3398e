# Two commands: `make up` runs everything here, `make test` checks everything that CI checks.
# Ports are changed by FLOWVIZ_PORT, FLOWVIZ_ADMIN_PORT, FLOWVIZ_PGBOUNCER_PORT, FLOWVIZ_POSTGRES_PORT, FLOWVIZ_PROMETHEUS_PORT,
# FLOWVIZ_ALERTMANAGER_PORT, FLOWVIZ_NODE_EXPORTER_PORT, FLOWVIZ_POSTGRES_EXPORTER_PORT.

CARGO ?= cargo
# Where a build cache may be kept between checkouts: used if it exists, never needed.
CACHE := $(HOME)/.cache/flowviz

# Where `make up` keeps its data. PostgreSQL refuses to run as root, so root's children run as an unprivileged user, who must be
# able to get to it: from a checkout in /root they can't.
FLOWVIZ_DIR ?= $(shell if [ "$$(id -u)" -eq 0 ] && ! setpriv --reuid=nobody --clear-groups test -x .; then echo /var/lib/flowviz; else echo .flowviz; fi)

UP := target/release/flowviz-stack up --dir "$(FLOWVIZ_DIR)" --host-bin target/release/flowviz --manifest spin.toml

.DEFAULT_GOAL := help
.PHONY: help up test setup functions host fmt lint deny unit e2e faults openapi query-plans cache

help: ## This list
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20

up: setup ## Build all, start the local stack and the host, and stay in the foreground (Ctrl-C ends all)
	@echo "building the stack, the functions and the host (release): minutes the first time, seconds later"
	$(CARGO) build --release -p flowviz-stack
	@# Before the long part: a port that is taken is better known now.
	@$(UP) --check
	$(CARGO) functions
	$(CARGO) build --release -p flowviz
	@exec $(UP)

test: setup fmt lint deny unit e2e ## Everything that CI checks

setup: cache ## Install what is missing: the wasm target and Debian packages
	@infra/setup.sh

cache:
	@if [ -d "$(CACHE)" ] && [ ! -e target ]; then mkdir -p "$(CACHE)/target" && ln -s "$(CACHE)/target" target; fi

functions: ## Build the functions
	$(CARGO) functions

host: ## Build the host (release)
	$(CARGO) build --release -p flowviz

fmt: ## Is the code formatted?
	$(CARGO) fmt --all --check

lint: ## Clippy, warnings are errors
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

deny: ## Dependencies: licences, sources, bans; advisories where their database can be had
	infra/deny.sh

unit: ## Unit tests, and the local stack's own
	$(CARGO) test --workspace --exclude flowviz-tests --locked

openapi: ## Write the API's description anew, after a change of the API
	FLOWVIZ_WRITE_OPENAPI=1 $(CARGO) test -q -p flowviz-tests --test openapi committed

.PHONY: dashboards
dashboards: ## Write Grafana's dashboards anew, after a change in observability/grafana/generate
	python3 -B observability/grafana/generate

query-plans: ## Write docs/query-plans.md anew, from a database with a million lots
	FLOWVIZ_WRITE_PLANS=1 FLOWVIZ_PLANS_LOTS=1000000 $(CARGO) test -q -p flowviz-tests --test query_plans

e2e: ## End-to-end tests on real PostgreSQL, PgBouncer and Prometheus
	$(CARGO) test -p flowviz-tests --locked

# A part of e2e.
faults: ## What breaks, under load: the servers and what the host does then, with a table of how each went
	@rm -f target/faults/latest.md
	@failed=0; $(CARGO) test -p flowviz-tests --locked --no-fail-fast --test 'faults_*' || failed=1; cat target/faults/latest.md; exit $$failed

# The day that `make plant-day` makes, and what else the command is told (ARGS='--help' lists it).
LOTS ?= 20000
SEED ?= 1

.PHONY: plant-day
plant-day: ## A day of lots and decisions on what `make up` runs: LOTS=20000 SEED=1 ARGS='--mix' (docs/plant-day.md)
	@$(CARGO) run --release --quiet -p plant-day -- --lots $(LOTS) --seed $(SEED) $(ARGS)

.PHONY: swaps
swaps: ## What swaps cost whoever is asking: SWAPS=200 CONNECTIONS=100 (docs/deploying.md)
	$(CARGO) build --release -p flowviz
	FLOWVIZ_HOST_BIN=target/release/flowviz $(CARGO) test -q -p flowviz-tests --test swap_load -- --ignored --nocapture

.PHONY: bench
bench: setup ## Ours beside a native server on the real stack: ARGS='--case get-lot --connections 100' (docs/performance.md)
	$(CARGO) functions
	$(CARGO) build --target wasm32-wasip2 --profile component -p hello
	$(CARGO) build --release -p flowviz
	$(CARGO) build --release -p flowviz-bench
	@target/release/flowviz-bench $(ARGS)
