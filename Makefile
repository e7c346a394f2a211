# Two commands: `make demo` sets everything up and runs the main job on made-up examples; `make test` sets everything up
# and passes the tests. Both need Python 3.11 or newer, git and make, and install into .venv.
#
# `make test CONSTRAINTS=requirements-dev.lock` installs the versions that were tested, as CI does; without it, the newest
# that pyproject.toml allows. `make lock` writes that file again.

PYTHON ?= python3
CONSTRAINTS ?=
VENV := .venv
BIN := $(VENV)/bin
PIP = -m pip install --quiet --disable-pip-version-check $(if $(CONSTRAINTS),--constraint $(CONSTRAINTS))
DEMO := --name SpotTheDifference.change --example --offline --num_threads 8 --dataset_version demo

# Hundreds of commands are started by the tests; without compiled files each of them would compile all modules.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test lint types tests bench quality lock clean

demo: $(VENV)/installed
	@rm -rf output/SpotTheDifference.change/demo
	@$(BIN)/python main.py $(DEMO)
	@echo
	@echo "Next: export OPENAI_API_KEY=..., then"
	@echo "  $(BIN)/python main.py --name SpotTheDifference.change -in annotations_of_Spot-the-Diff.json --num_threads 64"
	@echo "For annotations of your own, see \"Your own dataset\" in README.md."

test: lint types tests

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/installed-dev
	$(BIN)/mypy

tests: $(VENV)/installed-dev
	$(BIN)/python -m pytest -n auto --dist worksteal

# `make bench` measures this commit and writes docs/figures.md and the README's figures; on an idle machine, it takes about
# 15 minutes. `make bench BENCH=--quick` takes four and writes nothing; `BENCH="--server URL"` names another server.
bench: $(VENV)/installed-dev
	$(BIN)/python benchmarks/bench.py $(BENCH)

# What the cleaning rules are worth, on labelled answers that they were made with and on others.
quality: $(VENV)/installed-dev
	$(BIN)/python benchmarks/quality.py $(QUALITY)

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("Syphus needs Python 3.11 or newer, this is " + sys.version.split()[0] + "; try make PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: $(VENV)/bin/python pyproject.toml
	@echo "Installing Syphus into $(VENV); this may take a minute."
	$(BIN)/python $(PIP) --no-compile --editable .  # Python compiles what is used, when it is used
	@touch $@

$(VENV)/installed-dev: $(VENV)/bin/python pyproject.toml
	@echo "Installing Syphus and its tools for development into $(VENV); this may take some minutes."
	$(BIN)/python $(PIP) --editable '.[dev]'
	@touch $@ $(VENV)/installed

lock:
	rm -rf build/lock
	$(PYTHON) -m venv build/lock
	build/lock/bin/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@echo "# Made by make lock with $$($(PYTHON) --version) on $$(uname -s); used as constraints, see Makefile." >requirements-dev.lock
	build/lock/bin/python -m pip freeze --disable-pip-version-check --exclude-editable >>requirements-dev.lock
	rm -rf build/lock

clean:
	rm -rf $(VENV)
