# The commands of the house. `make run` and `make test` work on a bare machine with Python 3.11 and make.
PYTHON ?= python3
TORCH ?= torch==2.13.0
# That run the tests: each has a PostgreSQL of its own and a gigabyte of libraries.
WORKERS ?= 2
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
LOCK := requirements/lock.txt
# Published clients that cannot share an environment with others: the tests put their folders on the path.
ALONE := cortecs-py==0.0.11 scale-llm-engine==0.0.0b45

.DEFAULT_GOAL := help
.PHONY: help run install test lint format sync lock foal foal-eval bench bench-gateway clean

help:  ## Show the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

run: $(VENV)/base.stamp  ## Install what serving needs and serve the bundled model (ARGS="--port 9000")
	@$(BIN)/paddock serve $(ARGS)

install: $(VENV)/all.stamp  ## Install what serving, training and the tests need into .venv

test: lint  ## Check everything: lint, types, import rules and all tests
	$(BIN)/python -m pytest -n $(WORKERS) $(ARGS)

lint: $(VENV)/all.stamp  ## Style, types, import rules, generated code
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/unasync.py --check

format: $(VENV)/all.stamp  ## Put the code into shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

sync: $(VENV)/all.stamp  ## Generate the clients' sync side from their async side
	$(BIN)/python tools/unasync.py

lock: $(VENV)/all.stamp  ## Write the versions installed now to requirements/lock.txt
	$(PIP) freeze --exclude-editable | grep -v '^torch==' | LC_ALL=C sort -f > $(LOCK)

foal: $(VENV)/all.stamp  ## Train the bundled model anew (about an hour on 2 cores)
	$(BIN)/python -m foal.train --output build/foal
	cp build/foal/* src/paddock/bundled/foal/

foal-eval: $(VENV)/all.stamp  ## Ask the bundled model the questions that were kept out of its training
	$(BIN)/python -m foal.evaluate

bench-gateway: $(VENV)/all.stamp  ## Requests/s and latency beside nginx and LiteLLM
	$(BIN)/python -m bench.gateway $(ARGS)

bench: bench-gateway  ## Every figure of bench/RESULTS.md
	$(BIN)/python -m bench.tokens
	$(BIN)/python -m bench.startup
	$(BIN)/python -m bench.streams
	$(BIN)/python -m bench.instances
	$(BIN)/python -m bench.rolling
	$(BIN)/python -m bench.restarts
	$(BIN)/python -m bench.many
	$(BIN)/python -m bench.batches
	$(BIN)/python -m bench.batch_size
	$(BIN)/python -m bench.batch_kills
	$(BIN)/python -m bench.batch_online
	$(BIN)/python -m bench.fine_tunes
	$(BIN)/python -m bench.handover
	$(BIN)/python -m bench.training_rate
	$(BIN)/python -m bench.fine_tune_kills
	$(BIN)/python -m bench.adapters
	$(BIN)/python -m bench.files
	$(BIN)/python -m bench.usage
	$(BIN)/python -m bench.limits
	$(BIN)/python -m bench.accounting
	$(BIN)/python -m bench.ledger
	$(BIN)/python -m bench.ledger_kills
	$(BIN)/python -m bench.fuzz

clean:  ## Remove what these commands installed
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .import_linter_cache

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "Paddock needs Python 3.11 or newer; name one with: make run PYTHON=python3.12"; exit 2; }
	@$(PYTHON) -m venv $(VENV) \
	  || { echo "Python has no venv module; on Debian: apt-get install python3-venv"; exit 2; }

$(VENV)/base.stamp: pyproject.toml $(LOCK) | $(VENV)/bin/python
	$(PIP) install --quiet --constraint $(LOCK) --editable .
	@touch $@

$(VENV)/all.stamp: pyproject.toml $(LOCK) | $(VENV)/bin/python
	$(PIP) install --quiet $(TORCH)
	$(PIP) install --quiet --constraint $(LOCK) --editable '.[train,dev]'
	for one in $(ALONE); do $(PIP) install --quiet --no-deps --upgrade --target $(VENV)/$$one $$one || exit 1; done
	@touch $@ $(VENV)/base.stamp
