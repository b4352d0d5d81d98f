VENV := .venv
PYTHON ?= python3
# make demo ORDERS=2000 loads that many baskets; STAY=0 ends after the check.
ORDERS ?= 500
STAY ?= 1
# make test TESTS=tests/unit runs a part of the tests.
TESTS ?= tests
# Tests wait more than they compute. WORKERS=0 runs them one by one, in this process.
WORKERS ?= 4
# Each process that a test starts would compile all modules anew.
PYTEST = env -u PYTHONDONTWRITEBYTECODE $(VENV)/bin/pytest
XDIST = -n $(WORKERS) --dist loadfile --no-loadscope-reorder

.DEFAULT_GOAL := help
.PHONY: help setup demo up down compose-env quick test faults lint format bench docs lock

help: ## list what can be made
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 13

setup: $(VENV)/.ready ## install everything into .venv

$(VENV)/.ready: requirements.lock pyproject.toml
	@echo "Setting up $(VENV) (a minute or two the first time) ..."
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Tillstream needs Python 3.11 or newer; name one with make PYTHON=...")'
	@$(PYTHON) -m venv $(VENV)
	@$(VENV)/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	@$(VENV)/bin/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: setup ## real baskets through every service, checked against the data set
	@$(VENV)/bin/till demo --orders $(ORDERS) $(if $(filter 0,$(STAY)),--no-stay,--stay)

up: setup ## everything on this machine, until Ctrl-C
	@$(VENV)/bin/till up

down: setup ## stop what runs in the background
	@$(VENV)/bin/till down

compose-env: ## passwords for docker-compose.yml, made once and kept in .env
	@deploy/compose-env

test: setup ## unit, integration and end-to-end tests on a real PostgreSQL and a real Kafka
	$(PYTEST) $(XDIST) $(TESTS)

quick: setup ## unit tests alone, in half a minute
	$(PYTEST) -n 2 --dist loadfile tests/unit

faults: setup ## all that `make test` leaves out: random kills, every window, a million events; takes ten minutes
	$(PYTEST) -n 2 --dist loadfile --no-loadscope-reorder $(TESTS) -m long

lint: setup ## ruff, mypy and the floors of the house
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports --no-logo

format: setup ## let ruff mend what it can
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

bench: setup ## rates of the hot paths and times of answers, each beside a baseline of the same run
	PYTHONPATH=tests $(VENV)/bin/python tests/bench/bench.py

docs: setup ## OpenAPI, AsyncAPI and JSON Schemas, with pages that show them, in build/docs
	@$(VENV)/bin/python -m query_service.documents build/docs
	@echo "Written to build/docs; see them with $(VENV)/bin/python -m http.server --directory build/docs"

lock: setup ## renew requirements.lock, what the image takes of it, and the locks of tests' tools and Kafka's jars
	$(VENV)/bin/uv pip compile pyproject.toml --all-extras --group dev --universal --python-version 3.11 \
		--generate-hashes --no-header --no-annotate --quiet --upgrade --output-file requirements.lock
	$(VENV)/bin/uv pip compile pyproject.toml --universal --python-version 3.11 --constraint requirements.lock \
		--generate-hashes --no-header --no-annotate --quiet --upgrade --output-file deploy/requirements.lock
	echo openapi-python-client | $(VENV)/bin/uv pip compile - --universal --python-version 3.11 \
		--generate-hashes --no-header --no-annotate --quiet --upgrade --output-file tests/clients/python/generator.lock
	$(VENV)/bin/python -m local.servers.lock
