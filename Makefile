# Targets carry their description after "##"; `make` alone lists them.
PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/.installed
# `make lock UPGRADE=--upgrade` moves every pin to the newest version.
COMPILE = $(BIN)/uv pip compile pyproject.toml --quiet --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-emit-find-links \
	--custom-compile-command "make lock" $(UPGRADE)

.DEFAULT_GOAL := help
.PHONY: help venv up test test-connected lint format bench schemas lock clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

venv: $(INSTALLED) ## make .venv from the hashed lock, with Mooring in it

$(INSTALLED): requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Mooring needs Python 3.11 or later; name one with make PYTHON=...")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --no-deps -e .
	@touch $@

up: venv ## start the platform and replay a year of a loyalty card
	$(BIN)/mooring up --replay completejourney

test: venv ## tests that need no server
	$(BIN)/pytest -m "not connected" -n 2 --dist loadfile

test-connected: venv ## tests on a real Apache Kafka and document database (obtains them once)
	$(BIN)/python -m tests.servers install
	$(BIN)/pytest -m connected

lint: venv ## style, formatting and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: venv ## put imports and layout in order
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: venv ## measure the platform against the raw limits of this machine
	$(BIN)/mooring bench

schemas: venv ## generate contracts/schemas from the facts
	$(BIN)/python -m contracts.schemas

lock: venv ## pin and hash what pyproject.toml asks for
	$(BIN)/pip install --quiet uv
	$(COMPILE) --all-extras -o requirements.lock
	$(COMPILE) --extra trace --constraint requirements.lock -o requirements-runtime.lock

clean: ## remove what tools generate (keeps .venv and the servers in .cache)
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist *.egg-info
	find . -name __pycache__ -not -path './.venv/*' -not -path './.cache/*' -prune -exec rm -rf {} +
