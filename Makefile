# Everything starts here: `make demo` and `make test` need Python >= 3.11 and a network, once; then nothing.

PYTHON ?= python3
DURATION ?= 60
RATE ?= 2000
JSON ?=
KEEP ?=
DATA ?=
KEY ?= .assay/keys/demo
MINUTES ?=
AUDIT_URL ?=
SEED ?=
LOGS ?=
INPUTS ?= 1000000
KILLS ?= 100
PREVIOUS ?=
BUILD_IMAGE ?=

VENV := .venv
RUN := $(VENV)/bin
LOCKS := deploy/locks
LOCK := $(LOCKS)/constraints.txt
PIP_INSTALL := python -m pip install --quiet --disable-pip-version-check
# Each file by its SHA-256, what builds Assay included: nothing is resolved, and nothing is built apart. $(1): a lock file.
INSTALL = $(RUN)/$(PIP_INSTALL) --require-hashes --no-deps --requirement $(LOCKS)/build.txt >&2 \
	&& $(RUN)/$(PIP_INSTALL) --require-hashes --no-deps --requirement $(LOCKS)/$(1).txt >&2 \
	&& $(RUN)/$(PIP_INSTALL) --no-deps --no-build-isolation --no-index --editable . >&2

MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.PHONY: help demo monitor test test-slow test-versions test-version coverage test-observability test-containers test-upgrade check bench chaos fuzz side-kills soak recovery mutations swaps train handbook credit six-commands
.PHONY: site sign sbom audit audit-answers dashboards clean lock hashes

help: ## what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-18s %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/.installed-demo ## see it work: Kafka, traffic, scores, alerts, cases on a page, then a check (DURATION=60 RATE=2000 JSON=1 KEEP=1)
	@$(RUN)/assay demo --duration $(DURATION) --rate $(RATE) $(if $(filter-out 0,$(JSON)),--json) $(if $(filter-out 0,$(KEEP)),--keep)

monitor: $(VENV)/.installed-all ## the demo with Prometheus and Grafana over it, where they are installed (DURATION=600)
	@$(RUN)/assay demo --dashboards --rate $(RATE) --duration $(if $(filter file,$(origin DURATION)),600,$(DURATION))

WORKERS ?= 2
# A file stays on one worker, with its broker; the longest come first (tests/conftest.py).
IN_PARALLEL = -n $(WORKERS) --dist loadfile --no-loadscope-reorder
TESTED ?= not slow
test: $(VENV)/.installed-all ## the tests, on WORKERS processes with a Kafka each; `make test-slow` has the rest
	@$(RUN)/python -m pytest $(IN_PARALLEL) -m "$(TESTED)"

test-slow: $(VENV)/.installed-all ## what takes long, on WORKERS processes; then the fault suite, one test after another
	@$(RUN)/python -m pytest $(IN_PARALLEL) -m "slow and not alone"
	@$(RUN)/python -m pytest -m "slow and alone"

COVERED ?= not broker and not slow and not train
coverage: $(VENV)/.installed-all ## lines and branches that the tests reach (COVERED="not slow" asks the ones with a broker too)
	@rm -rf .coverage && mkdir .coverage
	@$(RUN)/python -m coverage run -m pytest $(IN_PARALLEL) -m "$(COVERED)" && $(RUN)/python -m coverage combine --quiet && $(RUN)/python -m coverage report

test-versions: ## the tests without a broker on every Python from 3.11 to 3.13 that is installed here
	@for version in 3.11 3.12 3.13; do \
		command -v python$$version > /dev/null || { echo "python$$version is not installed: not run" >&2; continue; }; \
		$(MAKE) test-version PYTHON=python$$version VENV=.venv-$$version || exit 1; \
	done

test-version: $(VENV)/.installed-all
	@$(RUN)/python -m pytest $(IN_PARALLEL) -m "not broker and not slow and not train"

check: $(VENV)/.installed-all ## style, types, import contracts, the shape of the code: within a minute
	@$(RUN)/ruff check
	@$(RUN)/ruff format --check
	@$(RUN)/mypy
	@$(RUN)/lint-imports
	@$(RUN)/python -m pytest tests/test_tidy.py tests/test_import_names.py

test-observability: $(VENV)/.installed-all ## dashboards, alert rules, traces: asked of a real Prometheus
	@$(RUN)/python -m pytest tests/observability -s

test-containers: $(VENV)/.installed-all ## the images built and run (BUILD_IMAGE=PROGRAM); without it each command of compose.yaml in a bare venv
	@$(if $(BUILD_IMAGE),BUILD_IMAGE=$(BUILD_IMAGE) $(RUN)/python -m pytest tests/deploy/test_images.py tests/deploy/test_images_cuda.py,$(RUN)/python -m tests.deploy.bare)

test-upgrade: $(VENV)/.installed-all ## an earlier version upgraded, taken back, upgraded again (PREVIOUS=its checkout, with .venv)
	@PREVIOUS_ASSAY=$(abspath $(PREVIOUS)) $(RUN)/python -m pytest tests/deploy/test_upgrade.py

site: $(VENV)/.installed-all ## the documentation as a site, strictly: build/site/index.html
	@NO_MKDOCS_2_WARNING=1 $(RUN)/mkdocs build --strict --quiet --config-file deploy/site/mkdocs.yml

dashboards: $(VENV)/.installed-all ## write deploy/grafana/dashboards from their source
	@$(RUN)/python -m deploy.grafana.source.build

BENCHMARKS ?=
bench: $(VENV)/.installed-all ## every benchmark with its baseline or peer, recorded in docs: 45 minutes, each told before (BENCHMARKS="latency ...")
	@$(RUN)/assay bench all $(BENCHMARKS)

GIVEN_RATE = $(if $(filter command environment,$(firstword $(origin RATE))),--rate $(RATE))

chaos: $(VENV)/.installed-all ## faults chosen by a seed against a running system, then the oracle (MINUTES=3 SEED=7 RATE=1000 LOGS=DIR ENVIRONMENT=ASSAY_TRANSACTIONS=process)
	@$(RUN)/python -m tests.chaos $(if $(MINUTES),--minutes $(MINUTES)) $(if $(SEED),--seed $(SEED)) $(GIVEN_RATE) $(if $(LOGS),--logs $(LOGS)) $(if $(ENVIRONMENT),--environment $(ENVIRONMENT))

fuzz: $(VENV)/.installed-all ## malformed payments and specs: none stops a partition, none reaches a log (INPUTS=1000000 SEED=1)
	@$(RUN)/python -m tests.chaos.fuzz --inputs $(INPUTS) $(if $(SEED),--seed $(SEED))

six-commands: $(VENV)/.installed-all ## from assay init to alerts by the words of its README, on three streams of other shapes
	@$(RUN)/python -m pytest -x tests/streams/test_six_commands.py

side-kills: $(VENV)/.installed-all ## kills the monitor with -9 again and again: every successor makes progress (KILLS=100 SEED=1)
	@$(RUN)/python -m tests.chaos.side_kills --kills $(KILLS) $(if $(SEED),--seed $(SEED))

soak: $(VENV)/.installed-all ## a scorer at half its load: memory and descriptors stay flat (MINUTES=30)
	@$(RUN)/python -m tests.chaos.soak $(if $(MINUTES),--minutes $(MINUTES)) $(GIVEN_RATE)

recovery: $(VENV)/.installed-all ## how long scoring stops when a scorer or a broker dies; writes docs/recovery.md
	@$(RUN)/python -m tests.chaos.recovery --write

mutations: $(VENV)/.installed-all ## takes out each rule of exactly once: a test must notice; writes it into docs/guarantees.md
	@$(RUN)/python -m tests.chaos.mutations --write

train: $(VENV)/.installed-all ## train the fraud bundle and write docs/results.md
	@$(RUN)/assay train fraud --out deploy/bundles/fraud --results docs/results.md
	@$(MAKE) sign

handbook: $(VENV)/.installed-all ## the Fraud Detection Handbook's protocol (DATA=DIR with transactions_*.parquet)
	@$(RUN)/python -m models.training.handbook.run --data $(or $(DATA),$(ASSAY_DATA_DIR)/handbook)

CREDIT_DATA = $(or $(DATA),$(if $(ASSAY_DATA_DIR),$(ASSAY_DATA_DIR)/credit))
credit: $(VENV)/.installed-all ## train the credit bundle and measure credit models (DATA=DIR with the two data sets, or UCI)
	@OMP_NUM_THREADS=1 $(RUN)/assay train credit --out deploy/bundles/credit --objective precision:0.5 \
		$(if $(CREDIT_DATA),--data $(CREDIT_DATA)/taiwan_default_train.csv.gz,--fetch taiwan) \
		--source "Default of credit card clients (UCI 350, I-C. Yeh 2016, CC BY 4.0)." \
		--licence "Apache-2.0; trained on UCI data set 350 by I-C. Yeh (2016), CC BY 4.0" --owner "The Assay authors" \
		--permitted-use "Demonstration, tests and research. Before deciding about real applicants train on your own history, have the model validated and measure its effect on protected groups (ECOA; EU AI Act, annex III 5(b))."
	@$(MAKE) sign
	@OMP_NUM_THREADS=1 $(RUN)/python -m models.training.credit.results $(if $(CREDIT_DATA),--data $(CREDIT_DATA))

swaps: $(VENV)/.installed-all ## a model swap every 2 s under load: latency, memory, and what it loses, which is nothing (MINUTES=10)
	@$(RUN)/assay bench swaps --minutes $(or $(MINUTES),10)

sign: $(VENV)/.installed-demo ## sign the bundles in deploy/bundles with KEY.key, made the first time, and pin KEY.pub
	@test -f $(KEY).key || $(RUN)/assay bundle keygen $(KEY)
	@for bundle in deploy/bundles/*/; do $(RUN)/assay bundle sign $$bundle --key $(KEY).key || exit 1; done
	@mkdir -p deploy/keys && cp $(KEY).pub deploy/keys/demo.pub

AUDITORS := .venv-audit/.installed
sbom: $(VENV)/.installed-all $(AUDITORS) ## a CycloneDX bill of materials of what is installed: dist/sbom.json
	@mkdir -p dist && .venv-audit/bin/cyclonedx-py environment $(RUN)/python --output-file dist/sbom.json

ASKED = $(if $(AUDIT_URL),--vulnerability-service osv --osv-url $(AUDIT_URL)) --strict --no-deps --disable-pip
audit: sbom ## known vulnerabilities of the locked versions: asks PyPI, or an OSV server (AUDIT_URL=http://.../v1/query)
	@.venv-audit/bin/pip-audit --requirement $(LOCK) $(ASKED)

# an index without advisories finds nothing wrong, either: ask for what is known to be
audit-answers: $(AUDITORS) ## whether there is an answer to be had: a version with a known vulnerability must be found
	@mkdir -p dist && echo jinja2==2.10 > dist/vulnerable.txt
	@.venv-audit/bin/pip-audit --requirement dist/vulnerable.txt $(ASKED) 2>&1 | grep -q PYSEC-

clean: ## remove the virtual environment, caches and local data
	@rm -rf $(VENV) .venv-lock .venv-audit .assay build dist *.egg-info
	@rm -rf .hypothesis .mypy_cache .pytest_cache .ruff_cache .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

ALL_EXTRAS := cpu broker files formats store gateway grpc console side train trees bench trace dev
IMAGE_EXTRAS := formats store gateway grpc console side trace
COMPILE = .venv-lock/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	--no-emit-index-url --constraint $(LOCK) $(if $(INDEX),--default-index $(INDEX))
hashes: INDEX = $(or $(PIP_INDEX_URL),$(shell $(PYTHON) -m pip config get global.index-url 2> /dev/null))
extras = $(foreach extra,$(1),--extra $(extra))

lock: ## resolve every dependency again into deploy/locks
	@rm -rf .venv-lock && $(PYTHON) -m venv .venv-lock
	@.venv-lock/bin/$(PIP_INSTALL) --editable '.[cpu,broker,files,formats,store,gateway,grpc,console,side,train,trees,bench,trace,dev]' >&2
	@{ sed '/^[^#]/,$$d' $(LOCK); .venv-lock/bin/python -m pip freeze --exclude-editable \
		| grep -v -E '^(cuda|nvidia|triton)[a-z0-9-]*=='; } > $(LOCK).new && mv $(LOCK).new $(LOCK)
	@rm -rf .venv-lock
	@$(MAKE) hashes

hashes: ## the versions of deploy/locks/constraints.txt with the SHA-256 of each of their files
	@rm -rf .venv-lock && $(PYTHON) -m venv .venv-lock
	@.venv-lock/bin/$(PIP_INSTALL) --require-hashes --no-deps --requirement $(LOCKS)/tools.txt >&2
	@printf 'hatchling\neditables\n' | $(COMPILE) - --output-file $(LOCKS)/build.txt > /dev/null
	@printf 'pip-audit\ncyclonedx-bom\nuv\n' | $(COMPILE) - --output-file $(LOCKS)/tools.txt > /dev/null
	@$(COMPILE) pyproject.toml $(call extras,cpu broker console side) --output-file $(LOCKS)/demo.txt > /dev/null
	@$(COMPILE) pyproject.toml $(call extras,cpu $(IMAGE_EXTRAS)) --output-file $(LOCKS)/image.txt > /dev/null
	@$(COMPILE) pyproject.toml $(call extras,cuda $(IMAGE_EXTRAS)) --output-file $(LOCKS)/image-gpu.txt > /dev/null
	@$(COMPILE) pyproject.toml $(call extras,$(ALL_EXTRAS)) --output-file $(LOCKS)/all.txt > /dev/null
	@rm -rf .venv-lock

$(RUN)/python:
	@command -v $(PYTHON) > /dev/null || { echo "$(PYTHON) was not found: Assay needs Python 3.11 or newer; name one with make PYTHON=..." >&2; exit 2; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Assay needs Python 3.11 or newer, and $(PYTHON) is older: name another with make PYTHON=..." >&2; exit 2; }
	@$(PYTHON) -m venv $(VENV) >&2

$(AUDITORS): $(LOCKS)/tools.txt
	@$(PYTHON) -m venv .venv-audit >&2
	@.venv-audit/bin/$(PIP_INSTALL) --require-hashes --no-deps --requirement $(LOCKS)/tools.txt >&2
	@touch $@

$(VENV)/.installed-demo: $(RUN)/python pyproject.toml $(LOCKS)/build.txt $(LOCKS)/demo.txt
	@echo "Installing Assay into $(VENV), once ..." >&2
	@$(call INSTALL,demo)
	@touch $@

$(VENV)/.installed-all: $(RUN)/python pyproject.toml $(LOCKS)/build.txt $(LOCKS)/all.txt
	@echo "Installing Assay with trainer and tools into $(VENV), once ..." >&2
	@$(call INSTALL,all)
	@touch $(VENV)/.installed-demo $@
