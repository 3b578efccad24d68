# `make` lists what there is. Every target installs what it needs into .venv first, and again after the pins change.

PYTHON ?= python3
PROFILE ?= benchmark
JOBS ?= 2
DEVICE ?= cpu
HOURS ?= 1

RESULTS := $(if $(filter paper,$(PROFILE)),results,$(PROFILE))
PROTOCOLS := table1 figure1 figure2 figure3 $(if $(filter paper quick,$(PROFILE)),atari)
BIN := .venv/bin
INSTALLED := .venv/.installed

.DEFAULT_GOAL := help
.PHONY: help setup benchmark test figures verify lint format types throughput gpu docs

help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(INSTALLED) ## install everything into .venv (PYTHON=python3.12 to choose the Python, 3.11 or newer)

benchmark: $(INSTALLED) ## train the first steps of the paper's runs and draw tables and figures (PROFILE=benchmark minutes, hour, paper days)
	@if [ "$(PROFILE)" = paper ] && [ "$(YES)" != 1 ]; then \
	  $(BIN)/ppo plan $(PROTOCOLS) | tail -n 1; \
	  [ -t 0 ] || { echo "make: PROFILE=paper trains for the hours above; YES=1 says that this is meant" >&2; exit 2; }; \
	  printf "train all of it into $(RESULTS)/ (it can be stopped and continued)? [y/N] "; read answer; \
	  case "$$answer" in [yY]*) ;; *) exit 2;; esac; \
	fi
	@code=0; $(BIN)/ppo run $(PROTOCOLS) --profile $(PROFILE) --results $(RESULTS) || code=$$?; \
	if [ $$code -gt 1 ]; then exit $$code; fi; \
	$(BIN)/ppo report --results $(RESULTS) || exit $$?; \
	[ $(RESULTS) = results ] || $(BIN)/ppo verify --results $(RESULTS) --against results || code=$$?; \
	echo; echo "Your report: $(CURDIR)/$(RESULTS)/report.html (tables/ and figures/ beside it)"; \
	[ $(RESULTS) = results ] || echo "At full size: $(CURDIR)/results/report.html"; \
	exit $$code

test: $(INSTALLED) ## run the tests (JOBS=2 processes)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n $(JOBS) --dist worksteal

figures: $(INSTALLED) ## draw the tables and figures of results/ again
	$(BIN)/ppo report --results results

verify: $(INSTALLED) ## make every table and figure of results/ again, begin some runs again, and say if all is as recorded
	OMP_NUM_THREADS=1 $(BIN)/ppo verify --results results

lint: $(INSTALLED) ## look for mistakes and for formatting that differs
	$(BIN)/ruff check
	$(BIN)/ruff format --check

format: $(INSTALLED) ## format the code and mend what can be mended by itself
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

types: $(INSTALLED) ## check the types, strictly
	$(BIN)/mypy

throughput: $(INSTALLED) ## measure steps per second beside Stable-Baselines3 and beside the physics alone, and what ppo plan reckons with
	$(BIN)/python -m experiments.throughput
	$(BIN)/python -m experiments.throughput --humanoid
	$(BIN)/python -m experiments.throughput --costs results/throughput.json --device $(DEVICE)

gpu: $(INSTALLED) ## on a machine with CUDA: check, measure and train for HOURS=1 into results/gpu; again: continue
	@$(BIN)/ppo gpu --hours '$(HOURS)'

docs: $(INSTALLED) ## build the site of docs/ with search and API pages into site/; a broken link fails
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	$(BIN)/python tools/fill_docs.py
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 0 tests/docs/test_pages.py
	$(BIN)/zensical build --clean --strict
	@echo "The site: $(CURDIR)/site/index.html (with search: $(BIN)/python -m http.server --directory site)"

$(INSTALLED): pyproject.toml constraints.txt
	@command -v $(PYTHON) >/dev/null || { \
	  echo "make: there is no $(PYTHON); name a Python of 3.11 or newer: make setup PYTHON=/path/to/python3" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "make: Python 3.11 or newer is needed, and $(PYTHON) is $$($(PYTHON) -V 2>&1);" \
	    "name another: make setup PYTHON=python3.12" >&2; exit 1; }
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || $(PYTHON) -m venv --clear .venv || { \
	  echo "make: $(PYTHON) cannot make a virtual environment (Debian, Ubuntu: apt install python3-venv)" >&2; exit 1; }
	@echo "installing into .venv (minutes the first time) ..."
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(shell sed -n '/^torch==/p' constraints.txt)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@
