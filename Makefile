# make demo   runs the main job: the kWTA defense under the weak and the adaptive attack
# make test   runs lint, types, all tests, and every plugin alone in an environment of its own
# make test-all   the same, and every other environment of tox.ini
# make lint   runs ruff and mypy
# make docs   builds the documentation into site/
# Each sets up .venv first if needed. Needs Python 3.10 or newer: make PYTHON=python3.12 test

PYTHON ?= python3
STAMP := .venv/installed
PROJECTS := pyproject.toml $(wildcard plugins/*/*/pyproject.toml)
SOURCES := advplug $(wildcard plugins/*/*/src)
UNREACHABLE := "make: pip could not install what requirements/ lists. It needs a package index or a folder of wheels (PIP_INDEX_URL, PIP_FIND_LINKS); see pip config list."
PIP := .venv/bin/python -m pip install -q -c constraints.txt

.PHONY: demo test test-all lint docs
.DELETE_ON_ERROR:

demo: $(STAMP)
	.venv/bin/advplug break kwta

test: lint
	OMP_NUM_THREADS=1 .venv/bin/pytest -q -n 2
	OMP_NUM_THREADS=1 .venv/bin/pytest -q -n 2 -m install tests/install
	.venv/bin/tox p -p 2 -m quick

test-all: test
	.venv/bin/tox p -p 2 -m full

lint: $(STAMP)
	.venv/bin/ruff check --no-cache .
	.venv/bin/ruff format --no-cache --check .
	.venv/bin/mypy --strict $(SOURCES)

docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --strict -q

$(STAMP): requirements/build.txt requirements/dev.txt constraints.txt $(PROJECTS)
	@$(PYTHON) -c 'import sys; sys.exit("advplug needs Python 3.10 or newer: make PYTHON=..." if sys.version_info < (3, 10) else 0)'
	$(PYTHON) -m venv .venv
	$(PIP) -r requirements/build.txt || { echo $(UNREACHABLE) >&2; exit 1; }
	$(PIP) --no-build-isolation -r requirements/dev.txt || { echo $(UNREACHABLE) >&2; exit 1; }
	@touch $@
