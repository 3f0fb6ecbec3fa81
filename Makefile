# make demo   runs the main job: the kWTA defense under the weak and the adaptive attack
# make test   runs lint and every test that is not slow, those of the plugins included
# make test-all   runs lint, every test, and every environment of tox.ini; continuous integration runs it
# make lint   runs ruff and mypy
# make types   runs mypy alone
# make docs   builds the documentation into site/
# Each sets up .venv first if needed. Needs Python 3.10 or newer: make PYTHON=python3.12 test

PYTHON ?= python3
STAMP := .venv/installed
PROJECTS := pyproject.toml $(wildcard plugins/*/*/pyproject.toml)
MYPY := .venv/bin/mypy --strict advplug $(wildcard plugins/*/*/src)
UNREACHABLE := "make: pip could not install what requirements/ lists. It needs a package index or a folder of wheels (PIP_INDEX_URL, PIP_FIND_LINKS); see pip config list."
PIP := .venv/bin/python -m pip install -q -c constraints.txt

.PHONY: demo test test-all lint types docs
.DELETE_ON_ERROR:

demo: $(STAMP)
	.venv/bin/advplug break kwta

test: lint
	OMP_NUM_THREADS=1 .venv/bin/pytest -q -n 2 -m "not slow and not install"

# The tests of plugins/ run in tox: each alone, and all together with the oldest and the latest dependencies.
test-all: lint
	OMP_NUM_THREADS=1 .venv/bin/pytest -q -n 2 tests
	OMP_NUM_THREADS=1 .venv/bin/pytest -q -n 2 -m install tests/install
	.venv/bin/tox p -p 2 -m quick full

lint: $(STAMP)
	.venv/bin/ruff check --no-cache .
	.venv/bin/ruff format --no-cache --check .
	$(MYPY)

types: $(STAMP)
	$(MYPY)

docs: $(STAMP)
	NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --strict -q

$(STAMP): requirements/build.txt requirements/dev.txt constraints.txt $(PROJECTS)
	@$(PYTHON) -c 'import sys; sys.exit("advplug needs Python 3.10 or newer: make PYTHON=..." if sys.version_info < (3, 10) else 0)'
	$(PYTHON) -m venv .venv
	$(PIP) -r requirements/build.txt || { echo $(UNREACHABLE) >&2; exit 1; }
	$(PIP) --no-build-isolation -r requirements/dev.txt || { echo $(UNREACHABLE) >&2; exit 1; }
	@touch $@
