# Needs Python >= 3.11, make and a package index; everything else is installed into $(VENV).

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
VIDEO ?= samples/traffic.mp4
MODEL ?=
PORT ?= 8000

# uv knows nothing of pip's settings: a folder of wheels that pip was told of is handed on when it exists.
INSTALL = links="$${UV_FIND_LINKS:-$$($(BIN)/python -m pip config get global.find-links 2>/dev/null || true)}"; \
	if [ -d "$$links" ]; then UV_FIND_LINKS="$$links"; export UV_FIND_LINKS; else unset UV_FIND_LINKS; fi; \
	$(BIN)/uv pip install --quiet --python $(BIN)/python -c constraints.txt

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile

.PHONY: demo
demo: $(VENV)/.installed ## analyse the sample clip through the API: demo-out/ (VIDEO=file, MODEL=name-or-path)
	@exec $(BIN)/python -m scripts.demo --video "$(VIDEO)" --model "$(MODEL)"

.PHONY: run
run: $(VENV)/.installed ## serve everything on this machine, on :8000 (PORT=, MODEL=name-or-path)
	@exec $(BIN)/vidintel serve --port "$(PORT)" $(if $(MODEL),--model "$(MODEL)")

.PHONY: test
test: $(VENV)/.installed-dev ## run all tests, against real servers
	REQUIRE_REAL_SERVICES=1 $(BIN)/python -m pytest

.PHONY: test-unit
test-unit: $(VENV)/.installed-dev ## run the tests that need no server
	$(BIN)/python -m pytest tests/unit

.PHONY: lint
lint: $(VENV)/.installed-dev ## check style, types and the layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: format
format: $(VENV)/.installed-dev ## put the code into shape
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: doctor
doctor: $(VENV)/.installed ## check this machine, and say how to mend what is wrong
	@$(BIN)/vidintel doctor

.PHONY: bench
bench: $(VENV)/.installed-dev ## measure against peers, side by side (ONLY="whole memory …": docs/performance.md)
	@exec $(BIN)/python -m benchmarks $(ONLY)

.PHONY: bench-quick
bench-quick: $(VENV)/.installed-dev ## the same with shorter videos and fewer rounds
	@exec $(BIN)/python -m benchmarks --quick $(ONLY)

.PHONY: config
config: $(VENV)/.installed ## publish the settings: config/vidintel.schema.json, config/vidintel.example.yaml
	$(BIN)/vidintel config publish

.PHONY: openapi
openapi: $(VENV)/.installed ## write the OpenAPI document of this version, for a release: docs/openapi/
	@$(BIN)/python -m scripts.openapi

.PHONY: chaos
chaos: $(VENV)/.installed-dev ## kill every part at random under load, and count what is lost (SECONDS_OF_CHAOS=180)
	@exec $(BIN)/python -m scripts.chaos --seconds "$(or $(SECONDS_OF_CHAOS),180)"

.PHONY: constraints
constraints: $(BIN)/uv ## pin every dependency anew
	@printf '%s\n' '# Pinned by "make constraints" from pyproject.toml, for every platform and Python >= 3.11.' > constraints.new
	@$(BIN)/uv pip compile pyproject.toml --extra demo --extra otel --group dev --group parity --universal --python-version 3.11 --upgrade --quiet \
		--no-header --no-annotate --no-emit-index-url --no-emit-find-links >> constraints.new
	@mv constraints.new constraints.txt

.PHONY: clean
clean: ## remove caches and what demo made; data and the virtual environment stay
	rm -rf demo-out dist build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find src tests scripts alembic -type d -name __pycache__ -prune -exec rm -rf {} +

$(BIN)/uv:
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed: make PYTHON=/path/to/python3 ...")'
	@echo "Setting up $(VENV) …"
	@$(PYTHON) -m venv "$(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv

$(VENV)/.installed: pyproject.toml constraints.txt | $(BIN)/uv
	@$(INSTALL) -e '.[demo]'
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(BIN)/uv
	@$(INSTALL) -e '.[demo]' --group dev --group parity
	@touch $@ $(VENV)/.installed
