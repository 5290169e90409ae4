# `make` lists what can be asked for. Everything is installed into .venv, by itself, when needed.

VENV := .venv
BIN  := $(VENV)/bin

# The Python that builds .venv: the first of these that is 3.11 or newer. `make PYTHON=... tour`
# names another one.
PYTHON  ?=
PYTHONS := $(if $(PYTHON),$(PYTHON),python3 python3.14 python3.13 python3.12 python3.11)

# Only what .venv holds may help, not what else the machine has.
unexport PYTHONPATH
unexport PYTHONHOME
export PYTHONNOUSERSITE := 1
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.DEFAULT_GOAL := help
.PHONY: help tour test lint docs systems ci lab bench clean
# Two installations at once would disturb each other; pytest itself uses all cores.
.NOTPARALLEL:
.DELETE_ON_ERROR:

help: ## this list
	@echo "usage: make TARGET"
	@sed -n 's/^\([a-z]*\):.*## /\1|/p' Makefile | while IFS='|' read -r name text; do \
	  printf '  %-8s %s\n' "$$name" "$$text"; done

tour: $(VENV)/.base ## a first look at the package, in a minute
	@$(BIN)/python -m tinynet tour

test: $(VENV)/.dev ## all tests, with the examples in the docstrings
	@$(BIN)/python -m pytest -q -n auto --maxprocesses 8

lint: $(VENV)/.dev ## style, types, and who may import whom
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo

docs: $(VENV)/.docs ## the documentation and the chapters, run, into build/docs
	@$(BIN)/python -m tinynet data get minilm || echo "Chapter 09 goes without BERT's maps."
	@$(BIN)/sphinx-build -q -W --keep-going -d build/doctrees docs build/docs
	@echo "Documentation: build/docs/index.html"

systems: $(VENV)/.base ## every system of the documents, trained quickly on its data
	@rm -rf build/systems
	@$(BIN)/python -m tinynet train all --quick --out build/systems

ci: test lint docs systems ## test, lint, docs and systems: what a change must pass

lab: $(VENV)/.lab ## the chapters in JupyterLab
	@$(BIN)/jupyter lab $(if $(filter 0,$(shell id -u)),--allow-root) chapters

bench: $(VENV)/.base ## the speed measurements, on this machine
	@$(BIN)/python -m tinynet bench

clean: ## remove what was built, and caches; .venv stays
	@rm -rf build dist .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@find . -path ./$(VENV) -prune -o -type d -name __pycache__ -exec rm -rf {} +

# A stamp file says which dependencies are installed; a newer pyproject.toml, or a newer Python
# behind .venv, makes it stale. Compiling to bytecode is what pip does for packages that are not
# editable; without it the first import would take three times as long.
install = echo "Installing $(1) into $(VENV) ..."; \
	  $(BIN)/python -m pip install --quiet --editable '$(2)' && \
	  $(BIN)/python -m compileall -q tinynet && touch $(VENV)/.base $@

$(VENV)/.base: $(BIN)/python pyproject.toml
	@$(call install,tinynet,.)

$(VENV)/.dev: $(BIN)/python pyproject.toml
	@$(call install,tinynet and its test tools,.[dev])

$(VENV)/.docs: $(BIN)/python pyproject.toml
	@$(call install,tinynet and its documentation tools,.[docs])

$(VENV)/.lab: $(BIN)/python pyproject.toml
	@$(call install,tinynet and JupyterLab,.[lab])

$(BIN)/python:
	@for python in $(PYTHONS); do \
	  "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue; \
	  echo "Creating $(VENV) with $$("$$python" --version) ..."; \
	  "$$python" -m venv --clear $(VENV) && exit 0; \
	  rm -rf $(VENV); \
	  echo "$$python could not create a virtual environment;" \
	    "on Debian and Ubuntu the package python3-venv is needed." >&2; \
	  exit 1; \
	done; \
	echo "tinynet needs Python 3.11 or newer; tried: $(PYTHONS)." >&2; \
	echo "Name one with: make PYTHON=/path/to/python3" >&2; \
	exit 1
