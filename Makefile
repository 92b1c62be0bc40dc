# make demo   the whole tour on real photographs; says where the report is
# make test   the tests
# make check  ruff, mypy, import-linter, the documentation's build
# make clean  removes what the others made

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test check docs browser clean

demo: $(VENV)/demo.installed
	$(BIN)/heatlift demo

test: $(VENV)/dev.installed
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

check: $(VENV)/dev.installed docs
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/dev.installed
	$(BIN)/sphinx-build -q -W --keep-going docs docs/_build

# The tests that look at pages need Chromium or Chrome; without one they are skipped.
browser: $(VENV)/dev.installed
	command -v chromium || { apt-get update -q && apt-get install -qy chromium; } || $(BIN)/playwright install chromium

$(VENV)/bin/python:
	$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)

$(VENV)/demo.installed: $(BIN)/python pyproject.toml
	@echo 'installing into $(VENV), which takes a few minutes'
	$(BIN)/python -m pip install --quiet --editable '.[demo]'
	touch $@

$(VENV)/dev.installed: $(BIN)/python pyproject.toml
	@echo 'installing into $(VENV), which takes a few minutes'
	$(BIN)/python -m pip install --quiet --editable '.[demo,dev]'
	touch $@ $(VENV)/demo.installed

clean:
	rm -rf $(VENV) docs/_build heatlift-demo .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
