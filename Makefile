# `make` alone prints this help.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

.DEFAULT_GOAL := help
.PHONY: help demo test test-slow test-accounts check lint types layers bench audit wheel clean

help: ## show this help
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): setup.cfg pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	  || { echo "$(PYTHON) is no Python 3.11 or newer: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@test -x $(BIN)/pip || { echo "installing into $(VENV) (once, a minute or so)"; $(PYTHON) -m venv $(VENV); }
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@

demo: $(STAMP) ## the guided tour on private servers (KEEP=1 leaves them running)
	@KEEP=$(KEEP) $(BIN)/python -m demo

test: $(STAMP) ## all tests but the long ones, on real servers
	@$(BIN)/python -m pytest -m "not slow and not secured" -n 2 --dist loadfile
	@$(BIN)/python -m pytest -m "not slow and secured"

test-slow: $(STAMP) ## the long ones: chaos, soak, a million rows
	@$(BIN)/python -m pytest -m slow --timeout 3600

test-accounts: $(STAMP) ## the integration tests again, on TLS with the accounts of deploy/ (needs the secured node)
	@for server in mariadb mysql9; do \
		AUDIT_TEST_LEAST_PRIVILEGE=$$server $(BIN)/python -m pytest tests/integration tests/contract -m "integration and not slow" || exit 1; \
	done

check: lint types layers ## format, lint, types, layers

lint: $(STAMP) ## format and lint
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .

types: $(STAMP) ## mypy --strict
	@$(BIN)/mypy

layers: $(STAMP) ## who may import whom
	@$(BIN)/lint-imports setup.cfg

bench: $(STAMP) ## what it costs, side by side with what others cost
	@$(BIN)/python -m benchmarks

audit: $(STAMP) ## known vulnerabilities in dependencies
	@$(BIN)/python .ci/audit.py

wheel: $(STAMP) ## build the wheel into dist/
	@$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .

clean: ## remove what was built
	@rm -rf build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
