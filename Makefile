# `make` lists what there is. Two of them do everything on a fresh machine that
# has Python 3.11 or later: `make run` and `make test`.
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
	  || { echo "Beam needs Python 3.11 or later; PYTHON=... names one."; exit 1; }
	@echo "Building the environment in $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: requirements.txt | $(VENV)/bin/pip
	@echo "Installing what Beam needs ..."
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

$(VENV)/.developed: requirements-dev.txt | $(VENV)/bin/pip
	@echo "Installing what developing Beam needs ..."
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $(VENV)/.installed $@

$(NODE)/node_modules/.installed: $(NODE)/package-lock.json
	@if command -v npm >/dev/null; then \
	  echo "Installing the official clients ..."; \
	  npm ci --loglevel=error --no-audit --no-fund --prefix $(NODE) && touch $@; \
	else echo "npm is missing: journeys with the official clients will be skipped"; fi

install: $(VENV)/.installed  ## Build the environment in .venv
dev: $(VENV)/.developed  ## The same with the development requirements
node: $(NODE)/node_modules/.installed  ## Install the official Phoenix clients (npm)

run: $(VENV)/.installed  ## Serve Beam on http://127.0.0.1:5000 (PORT=5001 moves it)
	@DEBUG=1 $(BIN)/python manage.py migrate --verbosity 0
	@DEBUG=1 $(BIN)/python manage.py beam_admin
	@DEBUG=1 exec $(BIN)/python manage.py beam_serve

# Most of the suite waits for something: three files at a time.
JOBS ?= 3
test: $(VENV)/.developed node  ## Run the whole suite, its database tests on PostgreSQL too (T=path: only that)
	@$(BIN)/python -m pytest $(or $(T),-n $(JOBS) --dist loadscope --no-loadscope-reorder)
	@$(if $(T),,$(BIN)/python -m tests.on_postgres -q -n $(JOBS) --dist loadscope --no-loadscope-reorder)

check: $(VENV)/.developed  ## Format, lint, types, imports, migrations, Django checks
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache >/tmp/beam-imports.$$$$ \
	  || { cat /tmp/beam-imports.$$$$; rm -f /tmp/beam-imports.$$$$; exit 1; }; \
	  rm -f /tmp/beam-imports.$$$$
	@DEBUG=1 $(BIN)/python manage.py makemigrations --check --dry-run
	@DEBUG=1 $(BIN)/python manage.py check
	@$(BIN)/python -m pytest -q tests/docs

format: $(VENV)/.developed  ## Format the code and mend what can be mended
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

cover: $(VENV)/.developed node  ## The suite with branch coverage
	@$(BIN)/python -m pytest --cov --cov-report=term-missing:skip-covered $(T)

bench/baselines/node_modules/.installed: bench/baselines/package-lock.json
	@npm ci --loglevel=error --no-audit --no-fund --prefix bench/baselines && touch $@

bench: $(VENV)/.developed bench/baselines/node_modules/.installed  ## Measure Beam beside its peers (ARGS=--short for 2 minutes)
	@$(BIN)/python -m bench $(ARGS)

SECONDS ?= 60
SEED ?=
stress: $(VENV)/.developed  ## A cluster in bad weather (SECONDS=60 SEED=n): are all promises kept?
	@$(BIN)/python -m tests.stress --seconds $(SECONDS) $(if $(SEED),--seed $(SEED))

JOINS ?= 100000
churn: $(VENV)/.developed  ## 100,000 joins and leaves: does memory stay on its plateau?
	@$(BIN)/python -m tests.stress.churn --joins $(JOINS)

lock: $(VENV)/.developed  ## Compile the pinned requirements from pyproject.toml
	@$(BIN)/uv pip compile -q --no-strip-extras --universal --python-version 3.11 --generate-hashes \
	  --custom-compile-command "make lock" pyproject.toml -o requirements.txt
	@$(BIN)/uv pip compile -q --no-strip-extras --universal --python-version 3.11 --generate-hashes \
	  --custom-compile-command "make lock" pyproject.toml --group dev \
	  -c requirements.txt -o requirements-dev.txt

clean:  ## Remove what was built
	rm -rf $(VENV) $(NODE)/node_modules .mypy_cache .ruff_cache .pytest_cache .hypothesis
