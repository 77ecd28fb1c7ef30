# Hanout: `make run` shows it, `make test` proves it. `make help` lists the rest.
SHELL := /bin/bash
.DEFAULT_GOAL := help
CARGO_TARGET_DIR ?= $(CURDIR)/target
HANOUT_BIN_DIR ?= $(CARGO_TARGET_DIR)/debug
export CARGO_TARGET_DIR HANOUT_BIN_DIR
# One build has one SQLite: what is encrypted is built apart, in a folder of its own.
SEALED := $(CARGO_TARGET_DIR)/sqlcipher
# Always these three: another choice has other features of shared dependencies, and compiles them anew.
SEALED_PACKAGES := -p ledger -p till -p hanout-app --features sqlcipher
TOOLS := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/hanout/tools
DATA := $(or $(HANOUT_DATA),$(CURDIR)/../shared/data)

.PHONY: help run not-running demo-reset test check fmt bench replay sim torture apk-check e2e window ui setup setup-test

help: ## This list
	@sed -n 's/^\([a-z0-9-]*\):.*## /  make \1 — /p' $(MAKEFILE_LIST)

setup:
	@.ci/setup.sh run

setup-test:
	@.ci/setup.sh test

ui: setup
	@cd ui && npm run --silent build

# Without a display the window's app is not built: it is half of the work.
run: not-running ui ## Build and show the demo chain: server, head office, a till
	@echo "building (some minutes the first time)"
	@cargo build --quiet -p sync-server -p till-http
	@$(if $(DISPLAY)$(WAYLAND_DISPLAY),CARGO_TARGET_DIR="$(SEALED)" cargo build --quiet $(SEALED_PACKAGES))
	@.ci/demo.sh

not-running:
	@if [ -e .demo/lock ] && ! flock -n .demo/lock true; then echo "The demo is running already:"; cat .demo/urls; exit 1; fi

demo-reset: ## Throw the demo's data away
	@if [ -e .demo/lock ] && ! flock -n .demo/lock true; then echo "the demo is running: stop it first"; exit 1; fi
	@rm -rf .demo && echo "the demo's data are gone"

# The order puts what fails fast first. Clippy and the tests see the built pages, and the browser and the window
# drive the programs that `cargo test` has just built: building them apart would compile half the tree twice.
test: setup-test ## Everything that continuous integration runs
	cargo fmt --all --check
	cd ui && npm run --silent build && npm run --silent check && npm test --silent
	cargo clippy --workspace --all-targets --quiet -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --quiet
	.ci/android-check.sh
	cargo test --workspace --exclude hanout-app
	CARGO_TARGET_DIR="$(SEALED)" cargo test $(SEALED_PACKAGES)
	CARGO_TARGET_DIR="$(SEALED)" cargo build --quiet $(SEALED_PACKAGES)
	node tests/e2e/run.mjs
	PATH="$(TOOLS)/bin:$$PATH" node tests/window/run.mjs "$(SEALED)/debug/hanout-app"

check: ## Quick look: format, lints, unit tests
	@.ci/setup.sh build
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --quiet -- -D warnings
	cargo test --workspace --lib

fmt: ## Format the Rust code
	cargo fmt --all

bench: ui ## Figures beside their baselines
	@cargo build --quiet --release -p tests --bin bench -p testkit --bin sales
	@CARGO_TARGET_DIR="$(SEALED)" cargo build --quiet --release -p testkit --bin sales --features sqlcipher
	@"$(CARGO_TARGET_DIR)/release/bench" --plain "$(CARGO_TARGET_DIR)/release/sales" --sealed "$(SEALED)/release/sales"

replay: setup ## A month of real receipts through four tills
	@HANOUT_DATA="$(DATA)" cargo run --quiet --release -p tests --bin replay

sim: ## Days of a chain in which everything goes wrong: SEEDS=100 SEED=1 TILLS=3 DAYS=2 BUSY=40 ARGS=
	@cargo run --quiet --release -p tests --bin sim -- --seeds $(or $(SEEDS),100) --seed $(or $(SEED),1) \
		--tills $(or $(TILLS),3) --days $(or $(DAYS),2) --busy $(or $(BUSY),40) $(ARGS)

torture: ## Power cuts, failing disks, kills, flipped bits and random commands for MINUTES=20; SEED=1 repeats a run
	@cargo build --quiet --release -p tests --bin torture --bin till-program
	@cargo run --quiet --release -p tests --bin torture -- --minutes $(or $(MINUTES),20) --seed $(or $(SEED),1)

apk-check: ## Type-check the app for the handheld
	@.ci/android-check.sh

e2e: setup-test ui ## The till and head office in a browser
	cargo build --quiet -p sync-server -p till-http
	node tests/e2e/run.mjs

window: setup-test ui ## The till in its real window
	cargo build --quiet -p sync-server
	CARGO_TARGET_DIR="$(SEALED)" cargo build --quiet $(SEALED_PACKAGES)
	PATH="$(TOOLS)/bin:$$PATH" node tests/window/run.mjs "$(SEALED)/debug/hanout-app"
