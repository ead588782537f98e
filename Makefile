# Start with `make run` or `make test`. CI calls these targets too.

.PHONY: help run test check fmt tools openapi lint-deploy bench bench-verify soak

help: ## Show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 13

run: ## Start the service on ./data with a temporary sign-in key; prints curl lines to paste
	cargo run --locked -- serve --dev

test: tools ## Install what the tests need, and run every test
	cargo test --locked --workspace

check: ## Check formatting, lints and documentation; every warning is an error
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- --deny warnings
	RUSTDOCFLAGS='--deny warnings' cargo doc --locked --workspace --no-deps

fmt: ## Format the code
	cargo fmt --all

tools: ## Install the programs that the tests use, if they are missing
	sh tests/tools.sh

openapi: ## Generate docs/openapi.json and docs/openapi-internal.json from the code
	cargo run --locked --quiet -- openapi > docs/openapi.json.new
	mv docs/openapi.json.new docs/openapi.json
	cargo run --locked --quiet -- openapi --internal > docs/openapi-internal.json.new
	mv docs/openapi-internal.json.new docs/openapi-internal.json

lint-deploy: ## Check the deployment files and the AsyncAPI document with linters
	sh deploy/lint.sh

bench: ## Measure performance, as ratios to baselines of the same run
	cargo bench --locked --bench bars

bench-verify: ## Measure verification under load, beside bare axum, PostgreSQL and other services
	sh benches/verify/tools.sh
	python3 benches/verify/run.py $(BENCH_VERIFY)

soak: tools ## Run the tests that take long: hundreds of kills under load, and the suite on PostgreSQL 18
	sh tests/postgres-18.sh
	cargo test --locked --release --package keyledger-verifier --test blackbox -- --ignored --nocapture
	cargo test --locked --release --test blackbox -- --ignored --nocapture
