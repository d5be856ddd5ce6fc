# Two commands do all their set-up: `make demo` and `make test`. Needs Python 3.11 or later.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
# Two at a time: much of a test is waiting for what it started. A file's tests share what they made.
PYTEST := $(BIN)/pytest --numprocesses 2 --dist loadfile

.PHONY: demo test test-slow lint clean

demo: $(INSTALLED)
	$(BIN)/pocketface demo

test: $(INSTALLED) lint
	$(PYTEST)

test-slow: $(INSTALLED)
	$(PYTEST) -m slow --timeout=1200

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
