# The ways in. Each target does its own set-up: a machine with Python 3.11+ and make is enough.
.DEFAULT_GOAL := help
.PHONY: help env demo test check benchmarks soak alibi clean

PYTHON ?= python3
VENV := .venv
MINUTES ?= 10
PROCESSES ?= 2
STAMP := $(VENV)/.synchronised

help:            ## show this list
	@grep -hE '^[a-z]+: .*##|^[a-z]+: +##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

env: $(STAMP)    ## make .venv with everything for running, testing and benchmarking

$(STAMP): pyproject.toml uv.lock
	@PYTHON=$(PYTHON) sh .ci/make_environment
	@touch $@

demo: env        ## the whole way through on real data: rows over HTTP, drift found, a retraining Job (dry run)
	@$(VENV)/bin/driftwarden demo

test: env        ## every test; what this machine cannot run is skipped with one line saying what to install
	@$(VENV)/bin/python -m pytest --numprocesses $(PROCESSES) --dist loadfile

check: env       ## format, lint, types, import contracts
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

benchmarks: env  ## the figures, each a ratio measured side by side in one run
	$(VENV)/bin/python -m benchmarks.detectors --quick

soak: env        ## every promise of docs/promises.md at its full size, with figures: make soak MINUTES=60
	@$(VENV)/bin/python -m tests.soak --minutes $(MINUTES)

alibi: env       ## make .venv-alibi with alibi-detect and torch (several GB), which tests and benchmarks compare with
	@PYTHON=$(PYTHON) sh .ci/make_alibi_environment

clean:           ## remove the environment and caches
	rm -rf $(VENV) $(VENV)-alibi .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
