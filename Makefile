# One command each; each sets up what it needs in .venv.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INTEROP := .interop
PARALLEL := --numprocesses=auto --dist=loadgroup
INSTALL = $(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: help demo test lint check docs bench faults soak interop clean

help:  ## Show this list.
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | expand -t 10

demo: $(VENV)/.demo  ## The whole loop in a minute: cold start, voting, retraining, learning curve.
	$(BIN)/al-learner demo

test: $(VENV)/.dev  ## Every test, on a real PostgreSQL and a real Redis, in parallel.
	$(BIN)/pytest $(PARALLEL) --durations=25

lint: $(VENV)/.dev  ## Style, types, and who imports whom.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

check: lint  ## Lint and unit tests, in under a minute.
	$(BIN)/pytest $(PARALLEL) tests/unit

bench: $(VENV)/.dev  ## Seconds, memory and agreement beside a plain worker, on the bundled sample.
	$(BIN)/python -m benchmarks

faults: $(VENV)/.dev  ## Kills, cut connections and damaged blobs, on servers of their own.
	$(BIN)/pytest $(PARALLEL) tests/faults

soak: $(VENV)/.dev  ## Half an hour with 1,000 faults of all kinds; every vote must survive.
	$(BIN)/python -m tests.faults.soak --minutes 30 --faults 1000

interop: $(VENV)/.dev $(patsubst %,$(INTEROP)/%/.installed,argilla argilla-server doccano label-studio)  ## Exports and imports of real annotation tools.
	$(BIN)/pytest tests/interop

docs: $(VENV)/.docs  ## Build the documentation into site/.
	$(BIN)/mkdocs build --strict

clean:  ## Remove what the other commands made.
	rm -rf $(VENV) $(INTEROP) site dist al-learner-demo .mypy_cache .ruff_cache .pytest_cache .hypothesis

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.demo: $(VENV)/bin/python pyproject.toml constraints.txt
	$(INSTALL) --editable '.[meaning,plots]'
	@touch $@

$(VENV)/.dev: $(VENV)/bin/python pyproject.toml constraints.txt examples/plugin/pyproject.toml
	$(INSTALL) --editable '.[cluster,crowd,docs,files,meaning,metrics,model2vec,notebook,plots,test,wordllama]' \
		--editable examples/plugin
	@touch $@

$(VENV)/.docs: $(VENV)/bin/python pyproject.toml constraints.txt
	$(INSTALL) --editable '.[docs]'
	@touch $@

$(INTEROP)/%/.installed: tests/interop/requirements-%.txt
	$(PYTHON) -m venv $(@D)
	$(@D)/bin/pip install --quiet --disable-pip-version-check --no-deps --requirement $<
	@touch $@
