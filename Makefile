# Two commands: `make demo` sets everything up and runs the main job on made-up examples; `make test` sets everything up
# and passes the tests. Both need Python 3.11 or newer, git and make, and install into .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := --name SpotTheDifference.change --example --offline --num_threads 8 --dataset_version demo

.PHONY: demo test lint types tests clean

demo: $(VENV)/installed
	@rm -rf output/SpotTheDifference.change/demo
	@$(BIN)/python main.py $(DEMO)
	@echo
	@echo "Next: export OPENAI_API_KEY=..., then"
	@echo "  $(BIN)/python main.py --name SpotTheDifference.change -in YOUR_ANNOTATIONS.json --num_threads 64"

test: lint types tests

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/installed-dev
	$(BIN)/mypy

tests: $(VENV)/installed-dev
	$(BIN)/python -m pytest -n auto --dist worksteal

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("Syphus needs Python 3.11 or newer, this is " + sys.version.split()[0] + "; try make PYTHON=python3.11" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/installed-dev: $(VENV)/bin/python pyproject.toml
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@ $(VENV)/installed

clean:
	rm -rf $(VENV)
