# `make` lists the targets. `make run` and `make test` need only a machine with
# Python 3.11 or later.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
NODE := tests/journeys/node

.DEFAULT_GOAL := help
.PHONY: help install dev node run test check format cover bench stress churn lock clean

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/bin/pip:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Beam needs Python 3.11 or later; choose one with PYTHON=/path/to/python3."; exit 1; }
	@echo "Creating the environment in $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: requirements.txt | $(VENV)/bin/pip
	@echo "Installing the requirements ..."
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

$(VENV)/.developed: requirements-dev.txt | $(VENV)/bin/pip
	@echo "Installing the development requirements ..."
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $(VENV)/.installed $@

$(NODE)/node_modules/.installed: $(NODE)/package-lock.json
	@if command -v npm >/dev/null; then \
	  echo "Installing the official clients ..."; \
	  npm ci --loglevel=error --no-audit --no-fund --prefix $(NODE) && touch $@; \
	else echo "npm is missing: tests with the official clients will be skipped"; fi

install: $(VENV)/.installed  ## Create the environment in .venv
dev: $(VENV)/.developed  ## Create it with the development requirements
node: $(NODE)/node_modules/.installed  ## Install the official Phoenix clients (npm)

run: $(VENV)/.installed  ## Serve Beam on http://127.0.0.1:5000 (PORT=5001: another port)
	@DEBUG=1 $(BIN)/python manage.py migrate --verbosity 0
	@DEBUG=1 $(BIN)/python manage.py beam_admin
	@DEBUG=1 exec $(BIN)/python manage.py beam_serve

# Most tests wait for something, so three files run at a time.
JOBS ?= 3
test: $(VENV)/.developed node  ## Run all tests, database tests on PostgreSQL too (T=path: only these)
	@$(BIN)/python -m pytest $(or $(T),-n $(JOBS) --dist loadscope --no-loadscope-reorder)
	@$(if $(T),,$(BIN)/python -m tests.on_postgres -q -n $(JOBS) --dist loadscope --no-loadscope-reorder)

check: $(VENV)/.developed  ## Format, lint, spelling, types, imports, migrations, Django checks, docs
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/codespell
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache >/tmp/beam-imports.$$$$ \
	  || { cat /tmp/beam-imports.$$$$; rm -f /tmp/beam-imports.$$$$; exit 1; }; \
	  rm -f /tmp/beam-imports.$$$$
	@DEBUG=1 $(BIN)/python manage.py makemigrations --check --dry-run
	@DEBUG=1 $(BIN)/python manage.py check
	@$(BIN)/python -m pytest -q tests/docs

format: $(VENV)/.developed  ## Format the code and fix lint errors
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

cover: $(VENV)/.developed node  ## Run all tests with branch coverage
	@$(BIN)/python -m pytest --cov --cov-report=term-missing:skip-covered $(T)

bench/baselines/node_modules/.installed: bench/baselines/package-lock.json
	@npm ci --loglevel=error --no-audit --no-fund --prefix bench/baselines && touch $@

bench: $(VENV)/.developed bench/baselines/node_modules/.installed  ## Measure Beam and other servers (ARGS=--short: 3 minutes)
	@$(BIN)/python -m bench $(ARGS)

SECONDS ?= 60
SEED ?=
stress: $(VENV)/.developed  ## Run a cluster under failures and check its promises (SECONDS=60 SEED=n)
	@$(BIN)/python -m tests.stress --seconds $(SECONDS) $(if $(SEED),--seed $(SEED))

JOINS ?= 100000
churn: $(VENV)/.developed  ## Check that memory stays constant over 100,000 joins and leaves
	@$(BIN)/python -m tests.stress.churn --joins $(JOINS)

lock: $(VENV)/.developed  ## Pin the requirements of pyproject.toml, with hashes
	@$(BIN)/uv pip compile -q --no-strip-extras --universal --python-version 3.11 --generate-hashes \
	  --custom-compile-command "make lock" pyproject.toml -o requirements.txt
	@$(BIN)/uv pip compile -q --no-strip-extras --universal --python-version 3.11 --generate-hashes \
	  --custom-compile-command "make lock" pyproject.toml --group dev \
	  -c requirements.txt -o requirements-dev.txt

clean:  ## Remove everything that make created
	rm -rf $(VENV) $(NODE)/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis
