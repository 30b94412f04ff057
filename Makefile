# Every target is one line of help away: `make help`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
.DEFAULT_GOAL := help
.PHONY: help setup demo test check fix bench lock clean

help: ## Show this help
	@awk -F':.*## ' '/^[a-z]+:.*## /{printf "  %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(VENV)/.ready ## Prepare .venv from the hashed lock files

$(VENV)/.ready: requirements/dev.txt requirements/setup.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Penstock needs Python 3.11 or newer; set PYTHON=python3.x")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "setup: installing the locked dependencies"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/setup.txt
	@$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes requirements/dev.txt requirements/setup.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

demo: setup ## Run the whole system on your machine for a minute, and check all that it claims
	@$(BIN)/penstock demo

test: setup ## Run every check and test (embedded Kafka and ClickHouse are started for you)
	@$(MAKE) --no-print-directory check
	@$(BIN)/python -m pytest --numprocesses 3 --dist loadfile

check: setup ## Lint, formatting and types
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy

fix: setup ## Mend lint and formatting, and write the generated files again
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .
	@$(BIN)/python -m penstock.schemas.generate

bench: setup ## Measure the tap and the pipeline on this machine (prints tables; never a test)
	@$(BIN)/python benchmarks/pipeline.py

lock: setup ## Resolve the dependencies again and write the hashed lock files
	@$(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --python-version 3.11 --extra dev -o requirements/dev.txt pyproject.toml
	@printf 'uv\npip\n' | $(BIN)/uv pip compile --quiet --generate-hashes --no-emit-index-url --python-version 3.11 --allow-unsafe -o requirements/setup.txt -

clean: ## Remove what setup, tests and demo made here
	@rm -rf $(VENV) .penstock .mypy_cache .ruff_cache .pytest_cache .hypothesis dist
