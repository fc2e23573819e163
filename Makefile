# Tapeline: every command a user or CI needs. `make help` lists them.
SHELL := /bin/bash
.DEFAULT_GOAL := help
VENV := .venv
PY := $(VENV)/bin/python
READY := $(VENV)/.ready
# Wheels in $PIP_FIND_LINKS, if they are complete, make an installation without network.
INSTALL := $(PY) -m pip install --quiet --disable-pip-version-check -c requirements.lock -e '.[dev]'

.PHONY: help setup check audit test demo demo-kafka kafka kafka-stop secrets up down migrate up-native backup restore backup-stack restore-stack schemas bench golden clean

help: ## list the commands
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/:[^#]*## /\t/' | expand -t 14

setup: $(READY) ## create the environment in .venv

$(READY): pyproject.toml requirements.lock
	python3 -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed")'
	test -x $(PY) || python3 -m venv $(VENV)
	@if [ -n "$$PIP_FIND_LINKS" ] && $(INSTALL) --no-index 2>/dev/null; \
	then echo "installed from the wheels in $$PIP_FIND_LINKS"; else $(INSTALL); fi
	touch $@

check: setup ## every rule a machine can check: format, lint, types, imports, schemas
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(PY) -m schemas.generate --check
	$(PY) -m projections.generate --check
	$(PY) -m services.metrics.generate --check
	$(PY) -m deploy.grafana.generate --check
	$(PY) -m tests.sizes

audit: setup ## known vulnerabilities of what requirements.lock names; says loudly what could not be asked
	$(PY) -m deploy.audit

# Whole files to as many processes as there are cores, each with a database server and a broker of its own; the long
# files come first in the order of collection.
test: setup ## the whole suite: real PostgreSQL always, real Kafka where Java and Maven are
	$(PY) -m pytest --numprocesses=auto --maxprocesses=4 --dist=loadfile --no-loadscope-reorder

demo: setup ## recorded OKX data through the whole chain, then the review of the run
	$(VENV)/bin/tapeline demo

demo-kafka: setup ## the same through Faust on a real Kafka broker
	$(PY) -m deploy.kafka.broker start
	$(VENV)/bin/tapeline demo --folder var/demo-kafka --log kafka://$$(cat var/kafka/broker.address)/demo$$(date +%s)

kafka: setup ## start one Kafka broker on loopback (Maven fetches it once)
	$(PY) -m deploy.kafka.broker start

kafka-stop: setup ## stop that broker, by its own pid file
	$(PY) -m deploy.kafka.broker stop

STACK ?= tapeline
WORKERS ?= 1
COMPOSE := docker compose -p $(STACK) -f docker-compose.kafka.yml

secrets: setup ## make the stack's passwords and token at random in deploy/secrets; what is there stays
	$(PY) -m deploy.secrets

up: secrets ## the whole stack in Docker: Kafka, TimescaleDB, all services, Prometheus, Grafana; WORKERS=2 for two
	$(COMPOSE) up --detach --build --wait --scale worker=$(WORKERS)

down: ## stop it; the data stays
	$(COMPOSE) down

migrate: ## create or upgrade the tables of the running stack
	$(COMPOSE) run --rm migrate

up-native: setup ## the same services, commands and health checks without Docker, until Ctrl-C
	$(PY) -m deploy.native

BACKUP ?= var/backup-$(shell date -u +%Y%m%dT%H%M%SZ)

backup: setup ## copy the whole log (TAPELINE_LOG) into BACKUP=folder; trading may go on meanwhile
	$(VENV)/bin/tapeline log export $(BACKUP)
	@echo "backup: $(BACKUP)"

restore: setup ## write BACKUP=folder into an empty log (TAPELINE_LOG), make the tables again, prove the run
	$(VENV)/bin/tapeline log import $(BACKUP)
	$(VENV)/bin/tapeline projector --once
	$(VENV)/bin/tapeline replay verify

# The container writes as a user of its own, so the folder is open to it while it does; its files are readable to all.
backup-stack: secrets ## the same for the log of the Docker stack (STACK=name)
	install -d -m 777 $(BACKUP)
	$(COMPOSE) run --rm -v "$(abspath $(BACKUP)):/backup" worker log export /backup
	chmod 755 $(BACKUP)
	@echo "backup: $(BACKUP)"

restore-stack: secrets ## the same into a Docker stack whose volumes are new (STACK=name); `make up` goes on from there
	test -f $(BACKUP)/manifest.json
	$(COMPOSE) build worker
	$(COMPOSE) run --rm -v "$(abspath $(BACKUP)):/backup:ro" worker log import /backup
	$(COMPOSE) run --rm projector projector --once
	$(COMPOSE) run --rm worker replay verify

bench: setup ## measure; the tables go to docs/benchmarks.md (needs Java, Maven and the recorded data)
	$(PY) -m tests.bench all --write --full

schemas: setup ## bring what is generated (schemas, tables, docs/metrics.md) up to the code
	$(PY) -m schemas.generate --write
	$(PY) -m projections.generate --write
	$(PY) -m services.metrics.generate --write
	$(PY) -m deploy.grafana.generate --write

golden: setup ## write the golden logs anew; review the diff
	$(PY) -m tests.golden.stories

clean: ## remove the environment and everything a run wrote
	rm -rf $(VENV) var
