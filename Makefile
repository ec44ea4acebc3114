# Two commands do everything, on a bare machine with Python 3.11 or newer:
#   make demo   sets up .venv and runs the main job on what the package itself ships
#   make test   the same environment with the test extras: style, types, all tests
PYTHON ?= python3
VENV := .venv
# Tests run in so many processes, of one thread each.
JOBS ?= 2
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

# Spinning threads collapse when other work shares the cores.
export OMP_WAIT_POLICY ?= PASSIVE

.PHONY: demo test style types unit bench weights clean

demo: $(VENV)/installed
	$(BIN)/convscope demo

test: style types unit

style: $(VENV)/installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/installed-test
	$(BIN)/mypy

unit: export OMP_NUM_THREADS ?= 1
unit: $(VENV)/installed-test
	$(BIN)/pytest -n $(JOBS) --dist worksteal

bench: $(VENV)/installed-test
	for bench in bench/*.py; do echo "== $$bench"; $(BIN)/python $$bench || exit 1; done

# The weights of the built-in network, made anew (they are part of the package).
weights: $(VENV)/installed-test
	$(BIN)/python tools/train_world.py

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed: $(VENV)/bin/python pyproject.toml constraints.txt
	$(INSTALL) --editable .
	touch $@

$(VENV)/installed-test: $(VENV)/installed
	$(INSTALL) --editable '.[test]'
	touch $@

clean:
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache
