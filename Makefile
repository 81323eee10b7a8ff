# Every task of users and contributors. `make help` lists them; no set-up is needed before.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.NOTPARALLEL:
.DELETE_ON_ERROR:

BIN := .venv/bin
ATOMIC := $(BIN)/atomic

# Container images set it. Each of the hundreds of processes of a test run would compile all it imports.
unexport PYTHONDONTWRITEBYTECODE

# The Python that creates .venv: PYTHON=… if set, else the first of these that works.
PYTHON ?=
CANDIDATES := python3.14 python3.13 python3.12 python3.11 python3 python
IS_FIT := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))

.PHONY: help
help: ## Show this
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} \
		/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

##@ Try it

.PHONY: run dev
# With Stripe and without a key, localstripe takes its place, which is among the development dependencies.
uses-localstripe := $(and $(filter stripe,$(CARD_NETWORK)),$(if $(STRIPE_SECRET_KEY),,yes))

run: .venv/$(if $(uses-localstripe),dev,embedded).stamp ## Run everything here: PostgreSQL, Valkey, API, worker, sweeper (PORT=3000)
	@$(ATOMIC) dev

dev: .venv/embedded.stamp ## The same, restarting processes when the code changes
	@$(ATOMIC) dev --reload

##@ Operate (configured by the environment, .env, or a running `make run`)

.PHONY: start worker sweep migrate-up migrate-down migrate-create seed verify psql
start: export ATOMIC_ENV := $(or $(ATOMIC_ENV),production)
start: .venv/embedded.stamp ## Serve the API as in production
	@$(ATOMIC) serve

worker: .venv/embedded.stamp ## Settle payments when woken through Redis
	@$(ATOMIC) worker

sweep: .venv/embedded.stamp ## Settle overdue payments, purge, verify the ledger (needs no Redis)
	@$(ATOMIC) sweep

migrate-up: .venv/embedded.stamp ## Apply pending migrations
	@$(ATOMIC) migrate up

migrate-down: .venv/embedded.stamp ## Roll back the last migration, after a question (ARGS=--yes)
	@$(ATOMIC) migrate down $(ARGS)

migrate-create: .venv/embedded.stamp ## Create a migration and its rollback (name=add-something)
	@test -n "$(name)" || { echo "Give it a name: make migrate-create name=add-something" >&2; exit 2; }
	@$(ATOMIC) migrate create "$(name)"

seed: .venv/embedded.stamp ## Create the system accounts, the Test Merchant, its account and key
	@$(ATOMIC) seed

verify: .venv/embedded.stamp ## Verify the ledger; fails if it is inconsistent
	@$(ATOMIC) verify

psql: .venv/embedded.stamp ## psql on the database of a running `make run` (sql="SELECT 1" as=owner)
	@test -f .atomic/dev.env || { echo "\`make run\` has not been started in this folder." >&2; exit 1; }; \
		. ./.atomic/dev.env && exec "$$($(BIN)/python -c \
		'from atomic_adapters.embedded.cluster import get_binary_path; print(get_binary_path("psql"))')" \
		"$(if $(filter owner,$(as)),$$DEV_MIGRATION_DATABASE_URL,$$DEV_DATABASE_URL)" $(if $(sql),-c "$(sql)")

##@ Work on it

.PHONY: test test-deep lint types contracts format lock hooks bench faults stripe-trial mutants schemathesis \
	openapi-lint clients
# The types are one of the tests.
test: lint contracts ## Lint, types, import contracts and every test, on real servers
	@$(BIN)/pytest -n 3

test-deep: export TEST_DEPTH := 4
test-deep: test ## The same with four times the generated examples

lint: .venv/dev.stamp ## Check style
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: .venv/dev.stamp ## Check types
	@$(BIN)/pyright

contracts: .venv/dev.stamp ## Check the dependency rules of the architecture
	@$(BIN)/lint-imports --no-logo

bench: .venv/dev.stamp ## Measure speed, each figure beside a reference (ARGS="--quick --only settle,accept")
	@$(BIN)/python tests/bench $(ARGS)

faults: .venv/dev.stamp ## Inject faults under load (ARGS="--seconds 600 --seed 7 --only worker-kill")
	@$(BIN)/python tests/fault $(ARGS)

stripe-trial: .venv/dev.stamp ## Charge payments at localstripe under faults (ARGS="--payments 10000 --seed 7")
	@$(BIN)/python tests/stripe_trial $(ARGS)

mutants: .venv/dev.stamp ## Break the code on purpose; a test must fail (ARGS="--only lease-never-expires --jobs 2")
	@$(BIN)/python tests/mutants $(ARGS)

schemathesis: .venv/dev.stamp ## Test a running system against its OpenAPI document (ARGS="--max-examples 1000")
	@$(BIN)/python tests/fuzz $(ARGS)

clients: .venv/dev.stamp ## Compile and run the clients and the Postman collection; needs npm (ARGS=20 for 20 orders)
	@$(BIN)/python tools/clients.py $(ARGS)

openapi-lint: .venv/dev.stamp ## Lint the OpenAPI document, generate a client; needs Node.js, npm registry and PyPI
	@$(BIN)/python tools/openapi_lint.py

format: .venv/dev.stamp ## Format the code
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

hooks: .venv/dev.stamp ## Install a git hook that runs `make lint` before each commit
	@folder="$$(git rev-parse --git-path hooks)" && mkdir -p "$$folder" && \
		printf '#!/bin/sh\nexec make --no-print-directory lint\n' > "$$folder/pre-commit" && \
		chmod +x "$$folder/pre-commit" && echo "Installed $$folder/pre-commit"

lock: ## Renew requirements/*.txt with the newest versions and their hashes (ARGS=--keep to keep versions)
	@$(find-python); "$$python" tools/lock.py $(ARGS)

##@ Containers

.PHONY: up down
up: ## Build and start everything with compose
	docker compose up --build --detach --wait

down: ## Stop it; the data stays
	docker compose down

##@ Other

.PHONY: clean
clean: ## Remove build output; the data in .atomic stays
	rm -rf .venv build dist *.egg-info .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Sets the shell variable `python`. Each candidate is run, because a version manager may put a name
# on PATH that starts nothing.
define find-python
python="$(PYTHON)"; \
if test -z "$$python"; then \
	for candidate in $(CANDIDATES); do \
		if $$candidate -c '$(IS_FIT)' >/dev/null 2>&1; then python=$$candidate; break; fi; \
	done; \
fi; \
if test -z "$$python" || ! "$$python" -c '$(IS_FIT)' >/dev/null 2>&1; then \
	echo "Python 3.11 or newer with venv is required$${python:+; $$python is not}." >&2; \
	echo "Install one, or set PYTHON: make PYTHON=/path/to/python3" >&2; \
	exit 1; \
fi
endef

.venv/%.stamp: pyproject.toml $(wildcard requirements/*.txt)
	@$(find-python); "$$python" tools/venv.py $*
