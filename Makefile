# `make help` lists the targets. Everything runs in .venv, which `setup` makes once; afterwards no network is needed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
SOURCES := harness conformance loadtests reports tests protos benchmarks

.DEFAULT_GOAL := help
.PHONY: help setup validate test lint types format stubs stubs-check check bench bench-quick clean

help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' Makefile

setup: $(READY) ## Make .venv with everything at the pinned versions.

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed; set PYTHON=..." >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $(READY)

validate: $(READY) ## Validate the embedded reference Controller: conformance, a short load, the report.
	$(BIN)/controller-harness validate

test: $(READY) ## Run all tests of the project.
	$(BIN)/python -m pytest -n 2 --dist worksteal

lint: $(READY) ## Check style.
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)

types: $(READY) ## Check types.
	$(BIN)/mypy

format: $(READY) ## Mend style.
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

stubs: $(READY) ## Generate the stubs from protos/.
	$(BIN)/python protos/generate.py

stubs-check: $(READY) ## Check that the stubs are up to date.
	$(BIN)/python protos/generate.py --check

check: lint types stubs-check test ## Everything that CI checks.

bench: $(READY) ## Measure this project against its peers; writes docs/benchmarks.md.
	$(BIN)/python -m benchmarks

bench-quick: $(READY) ## The same, one small round; writes runs/benchmarks/partial.md.
	$(BIN)/python -m benchmarks --quick

clean: ## Remove what the targets made.
	rm -rf $(VENV) runs build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
