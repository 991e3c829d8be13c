# Rowferry. `make help` lists what there is.
# PYTHON=… chooses the Python (3.11 or later); ROWFERRY_STATE=… where the local stack lives (.local);
# ROWFERRY_MYSQLD=… the MySQL server program.

MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.PHONY: help install sam lock rds-ca audit format check test unit integration e2e chaos load up down status env demo invoke build deploy bench costs clean

suitable = import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for name in python3.11 python3.12 python3.13 python3; do \
	$$name -c '$(suitable)' 2>/dev/null && echo $$name && break; done)
BIN := .venv/bin
SAM := SAM_CLI_TELEMETRY=0 .tools/sam/bin/sam
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--custom-compile-command "make lock" $(if $(UPGRADE),--upgrade)
WITH_PYTHON = test -n "$(PYTHON)" || { echo "install: no Python 3.11 or later was found (on Debian 12 or later:" \
	"apt-get install python3 python3-venv); choose one by PYTHON=/path/to/python3" >&2; exit 1; }; $(PYTHON)
LEVEL = $(BIN)/python -m pytest $(ARGS)

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

install: ## Python environments (.venv, .tools) and a MySQL server; again only what changed
	@$(WITH_PYTHON) local/install.py

sam: ## the SAM CLI alone (.tools/sam): all that building and deploying need
	@$(WITH_PYTHON) local/install.py sam

lock: install ## compile the requirement lists (*.in) to hash-pinned files; UPGRADE=1 takes newer versions
	@for set in requirements requirements-avro; do $(LOCK) -o src/$$set.txt src/$$set.in || exit 1; done
	@for set in requirements requirements-lambda; do $(LOCK) -o api_ec2/$$set.txt api_ec2/$$set.in || exit 1; done
	@for set in dev sam ministack checkov; do $(LOCK) -o requirements/$$set.txt requirements/$$set.in || exit 1; done
	@$(LOCK) --no-deps -o requirements/lint.txt requirements/lint.in
	@command -v npm >/dev/null || { echo "lock: requirements/asl-validator was left as it is: npm is not on the PATH"; exit 0; }; \
		cd requirements/asl-validator && npm $(if $(UPGRADE),update,install) --package-lock-only \
		--omit-lockfile-registry-resolved --ignore-scripts --no-audit --no-fund --loglevel=error

rds-ca: ## renew RDS's certificate authorities (src/rowferry/storage/rds-ca.pem); BUNDLE=file where AWS is out of reach
	@$(WITH_PYTHON) local/install.py venv
	@$(BIN)/python -m local.rds_ca $(BUNDLE)

audit: install ## known vulnerabilities of the locked dependencies, where PyPI's advisories are in reach
	@$(BIN)/python -m local.audit

format: install ## format the code and mend what ruff can mend (changes files)
	@$(BIN)/ruff check --fix-only --quiet
	@$(BIN)/ruff format --quiet

check: install ## ruff, mypy, shellcheck; linters of the template and the state machines; the contract test; changes nothing
	@$(PYTHON) local/install.py checkov
	@$(BIN)/ruff check --quiet
	@$(BIN)/ruff format --check --quiet
	@$(BIN)/shellcheck api_ec2/instance/*.sh .ci/run
	@$(BIN)/mypy $(wildcard src functions api_ec2 cli local bench tests)
	@AWS_DEFAULT_REGION=us-east-1 $(SAM) validate --lint
	@$(BIN)/python -m local.lint
	@$(BIN)/python -m pytest --quiet --no-header tests/unit/test_contract.py

test: unit integration e2e ## every test: unit, integration, end to end

unit: install ## the tests that need nothing but Python
	@$(LEVEL) tests/unit

integration: install ## the tests against a MySQL server of their own
	@$(LEVEL) tests/integration

e2e: install ## the tests of the deployed template, on a local stack of their own
	@$(LEVEL) tests/e2e

chaos: install ## faults by the hundred while files are on their way; FAULTS=200, SEED=a number, ten to twenty minutes
	@$(BIN)/python -m tests.chaos $(if $(FAULTS),--faults $(FAULTS)) $(if $(SEED),--seed $(SEED))

load: install ## 2,000 small files, then one of two million rows, and what they needed; about half an hour
	@$(BIN)/python -m tests.chaos.load

up: install ## start the local stack: MySQL, the emulated AWS with our template, the API
	@$(BIN)/rowferry up

down: ## stop the local stack; DELETE=1 deletes its database and bucket too
	@test ! -x $(BIN)/rowferry || $(BIN)/rowferry down $(if $(DELETE),--delete)

status: ## what runs, where, and since when
	@test -x $(BIN)/rowferry || { echo "nothing is installed yet: make up"; exit 1; }
	@$(BIN)/rowferry status

env: ## shell exports for the running stack: eval "$(make -s env)"
	@test -x $(BIN)/rowferry || { echo "nothing is installed yet: make up" >&2; exit 1; }
	@$(BIN)/rowferry env

demo: install ## the stack, three sample files through it, and the account of every row
	@$(BIN)/rowferry demo

invoke: install ## one function in Lambda's container: FN=PlanFunction, EVENT=file or a sample; WITH=rie without Docker
	@$(BIN)/python -m local.invoke $(or $(FN),$(error make invoke FN=PlanFunction)) \
		$(if $(EVENT),--event $(EVENT)) $(if $(WITH),--way $(WITH))

build: sam ## sam build: the functions and their layers, as AWS gets them; RUNTIME=python3.12 chooses another Python
	@$(PYTHON) local/sam.py build $(if $(ENV),--environment $(ENV)) $(if $(RUNTIME),--runtime $(RUNTIME))

deploy: build ## sam deploy to the AWS account of your credentials, as samconfig.toml says; ENV=prod, RUNTIME as for build
	@$(PYTHON) local/sam.py deploy $(if $(ENV),--environment $(ENV)) $(if $(RUNTIME),--runtime $(RUNTIME))

bench: install ## what bench/ measures
	@$(BIN)/python -m bench

costs: install ## docs/costs.md from prices and counted calls; COUNT=1 counts anew, on a stack of its own
	@$(BIN)/python -m bench.costs $(if $(COUNT),--count)

clean: ## remove everything that was made: environments, stack, caches
	@$(MAKE) down DELETE=1
	@rm -rf .venv .tools .local .aws-sam .build .mypy_cache .ruff_cache .pytest_cache .hypothesis src/*.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
