# make demo   runs the main job: the kWTA defense under the weak and the adaptive attack
# make test   runs lint, types and all tests
# make lint   runs ruff and mypy
# make docs   builds the documentation into site/
# Each sets up .venv first if needed. Needs Python 3.10 or newer: make PYTHON=python3.12 test

PYTHON ?= python3
STAMP := .venv/installed
PROJECTS := pyproject.toml $(wildcard plugins/*/*/pyproject.toml)
SOURCES := advplug $(wildcard plugins/*/*/src)
PIP := .venv/bin/python -m pip install -q -c constraints.txt

.PHONY: demo test lint docs
.DELETE_ON_ERROR:

demo: $(STAMP)
	.venv/bin/advplug break kwta

test: lint
	OMP_NUM_THREADS=1 .venv/bin/pytest -q -n 2

lint: $(STAMP)
	.venv/bin/ruff check --no-cache .
	.venv/bin/ruff format --no-cache --check .
	.venv/bin/mypy --strict $(SOURCES)

docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --strict -q

$(STAMP): requirements/build.txt requirements/dev.txt constraints.txt $(PROJECTS)
	@$(PYTHON) -c 'import sys; sys.exit("advplug needs Python 3.10 or newer: make PYTHON=..." if sys.version_info < (3, 10) else 0)'
	$(PYTHON) -m venv .venv
	$(PIP) -r requirements/build.txt
	$(PIP) --no-build-isolation -r requirements/dev.txt
	@touch $@
