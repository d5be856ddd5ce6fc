# Two commands do all their set-up: `make demo` and `make test`. Needs Python 3.11 or later.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: demo test test-slow lint clean

demo: $(INSTALLED)
	$(BIN)/pocketface demo

test: $(INSTALLED) lint
	$(BIN)/pytest

test-slow: $(INSTALLED)
	$(BIN)/pytest -m slow --timeout=1200

lint: $(INSTALLED)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

$(INSTALLED): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --constraint constraints.txt --editable '.[train,export,detect,serve,dev]'
	touch $@

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache
