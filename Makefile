# Everything a newcomer types; `make` alone lists it.
.DEFAULT_GOAL := help
.PHONY: help install demo test lint oracles clean

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

help: ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

install: $(VENV)/installed ## .venv with all packages, and the face landmark model

# mediapipe asks for an OpenCV with windows that would land on top of ours;
# without its dependencies, those it needs being in requirements.txt, it runs.
$(VENV)/installed: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(None if (3, 11) <= v < (3, 14) else "Python %d.%d found; 3.11 to 3.13 needed: make PYTHON=python3.12" % v)'
	$(PYTHON) -m venv $(VENV)
	@echo "installing packages, 1.5 GB, into $(VENV)"
	$(PIP) install -r requirements.txt
	$(PIP) install --no-deps mediapipe==1.2.2
	$(PIP) install --no-deps --editable .
	$(BIN)/python -m input_pipeline.face_model --fetch
	@touch $@

demo: install ## a face that talks, from nothing, in about ten minutes
	$(BIN)/python -m synctalk_jax.demo --out demo

test: install ## the test suite
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest

oracles: install ## PyTorch, so that `make test` compares the networks with it
	$(PIP) install torch==2.13.0

lint: install ## only the style
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## removes .venv and what `make demo` made
	rm -rf $(VENV) demo
