# Everything works from nothing: the environment is made where it is missing, and again where
# pyproject.toml has changed. Another place for it: make VENV=elsewhere/venv test

VENV ?= .venv
ARGS ?=

# The first interpreter that runs and has a version this project supports; or say PYTHON=...
PYTHON ?= $(shell for python in python3.11 python3.12 python3.13 python3 python; do \
	$$python -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' >/dev/null 2>&1 \
	&& { echo $$python; break; }; done)

BIN = $(VENV)/bin
STAMP = $(VENV)/.installed

.PHONY: setup lava run test check docs site format clean

setup: $(STAMP)

$(STAMP): pyproject.toml
	@test -n "$(PYTHON)" || { echo "Python 3.11, 3.12 or 3.13 is needed; name it: make PYTHON=/path/to/python3.11" >&2; exit 2; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --editable '.[dev,studies,docs]'
	@touch $@

# Lava's own environment, in the user's cache or where SPIKETRAIN_LAVA says. Where it cannot be made, the
# tests of Lava are skipped and say why.
lava: $(STAMP)
	$(BIN)/spiketrain lava install

# Train the main experiment, print a table and where the report is.
run: $(STAMP)
	$(BIN)/spiketrain --config dfc_lif.yaml $(ARGS)

# The whole test suite, a worker more than cores are asked for, since some tests wait; one test alone: make test ARGS='tests/spiketrain -k config'
test: $(STAMP)
	@$(BIN)/spiketrain lava install || echo "Lava's tests will be skipped: its environment could not be made" >&2
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder $(ARGS)

# Format, lint, types, import contracts.
check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The neurons' equations in docs/model.md, from the source.
docs: $(STAMP)
	$(BIN)/python -m spiking.neurons.printed docs/model.md

# The documentation as a site, in build/site: tutorials and gallery are run, links are checked, and a warning is an error.
site: $(STAMP)
	OMP_NUM_THREADS=1 NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
