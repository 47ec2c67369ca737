# One command for each thing one does here. Needs only Python 3.10 or later, make and a C compiler.

PYTHON ?= python3
VENV := .venv
PYTHON_THERE := 3.12
# `make check BIN=/some/venv/bin` checks with an environment of your own; then nothing is installed.
BIN := $(VENV)/bin

READY := $(VENV)/.installed-demo
READY_TO_TEST := $(VENV)/.installed-test

# Python may keep what it has compiled, whatever the environment says: each of many processes would compile it again.
export PYTHONDONTWRITEBYTECODE :=

.DELETE_ON_ERROR:
.PHONY: help demo test test-real sae-real test-page check bench format test-gpu bench-gpu gpu-wheels

help: ## list what can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

demo: $(READY) ## install into .venv and find the circuit of a first behaviour
	$(VENV)/bin/acdc discover periodic
	@echo "Look at it: open $$(ls -td runs/periodic-periodic-2l*/report.html | head -1) in a browser"

test: $(READY_TO_TEST) check ## install with the test tools into .venv and check everything

# What everything imports is imported once before the tests: else each of their processes would compile it for itself.
check: $(if $(filter $(VENV)/bin,$(BIN)),$(READY_TO_TEST)) ## check format, lint, types and tests (ARGS=--cov for coverage)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy & types=$$!; \
	$(BIN)/python -c 'import transformer_lens, matplotlib.pyplot, scipy.stats, networkx'; \
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal $(ARGS); tests=$$?; \
	wait $$types && exit $$tests

bench: $(if $(filter $(VENV)/bin,$(BIN)),$(READY_TO_TEST)) ## measure speed and memory (ARGS=--quick, ARGS=--help)
	$(BIN)/python -m tests.benchmarks.bench $(ARGS)

test-real: $(if $(filter $(VENV)/bin,$(BIN)),$(READY_TO_TEST)) ## get SmolLM2 (once) and check everything end to end on it
	$(BIN)/acdc models get smollm2-135m
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest tests/real --real $(ARGS)

SAE_OUT := runs/smollm2-m10-sae
sae-real: $(if $(filter $(VENV)/bin,$(BIN)),$(READY_TO_TEST)) ## train features of one MLP of SmolLM2 (10 minutes; ARGS=...)
	@mkdir -p runs
	$(BIN)/acdc models get smollm2-135m
	$(BIN)/python -c 'from pydoc_data.topics import topics; print("\n".join(topics.values()))' > runs/python-topics.txt
	HF_HUB_OFFLINE=1 $(BIN)/python tasks/models/everyday-4l-m0-sae/train.py --out $(SAE_OUT) --layer 10 \
		--model $$($(BIN)/python -c 'from acdc.models import resolve; print(resolve("smollm2-135m"))') \
		--texts runs/python-topics.txt --features 1536 --k 32 --tokens 30000 --steps 1500 --losses 4 $(ARGS)

test-page: $(if $(filter $(VENV)/bin,$(BIN)),$(READY_TO_TEST)) ## check the page of a run in Chromium (installs it, as root, on Debian)
	@command -v npm > /dev/null || { echo "node.js is missing, which checks the page's types and accessibility:" \
		"apt-get install nodejs npm" >&2; exit 1; }
	@command -v "$${CHROMIUM:-chromium}" > /dev/null || { apt-get update -qq && \
		apt-get install -y -qq chromium > /dev/null; } || { \
		echo "Chromium is missing: apt-get install chromium, as root, or name one in CHROMIUM" >&2; exit 1; }
	$(BIN)/python -m pip install --quiet --constraint constraints.txt playwright
	npm ci --prefix tests/page --no-audit --no-fund --silent
	tests/page/node_modules/.bin/tsc --project tests/page
	HF_HUB_OFFLINE=1 OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/page --page $(ARGS)

test-gpu: ## check on a GPU that everything gives what it gives on the CPU
	@$(BIN)/python -c 'import sys, torch; sys.exit(None if torch.cuda.is_available() else "no GPU that torch can use here")'
	$(BIN)/python -m pytest -n 4 --dist worksteal tests/gpu -W default $(ARGS)

bench-gpu: ## measure speed, memory and how busy a GPU is (ARGS=--help)
	$(BIN)/python -m tests.benchmarks.gpu $(ARGS)

# For a machine with torch and transformers but no network: copy the checkout with .wheels there, and run
#   python3 -m pip install --no-index --no-deps --target /tmp/site .wheels/*.whl && export PYTHONPATH=/tmp/site
#   make test-gpu bench-gpu BIN=$(dirname $(command -v python3))
gpu-wheels: ## fetch into .wheels what a GPU machine with torch and transformers lacks (PYTHON_THERE=3.12)
	$(PYTHON) -m pip download --quiet --no-deps --only-binary=:all: --python-version $(PYTHON_THERE) \
		--platform manylinux_2_28_x86_64 --platform manylinux_2_17_x86_64 --platform manylinux2014_x86_64 \
		--constraint constraints.txt --dest .wheels transformer_lens datasets dill multiprocess fancy-einsum \
		beartype jaxtyping wadler-lindig pydantic pydantic-core annotated-types typing-inspection graphviz gguf platformdirs


format: $(if $(filter $(VENV)/bin,$(BIN)),$(READY_TO_TEST)) ## rewrite the code in the house's format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The mark `.unfinished` outlives an installation that was cut short, and the next one then starts from nothing.
# Torch for Linux comes with several GB of CUDA libraries; where there is no GPU, this avoids them:
#   PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu make demo
define install
@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	echo "$(PYTHON) is not Python 3.10 or later (it says: $$($(PYTHON) --version 2>&1));" \
		"name another one, for example: make $(MAKECMDGOALS) PYTHON=python3.11" >&2; exit 1; }
@if [ -e $(VENV)/.unfinished ]; then rm -rf $(VENV); fi
@mkdir -p $(VENV) && touch $(VENV)/.unfinished
$(PYTHON) -m venv $(VENV)
$(VENV)/bin/python -m pip install --quiet 'pip>=23.1'
$(VENV)/bin/python -m pip install --quiet --no-compile --constraint constraints.txt --editable '$(1)'
@touch $(2) && rm $(VENV)/.unfinished
endef

$(READY): pyproject.toml constraints.txt
	$(call install,.,$@)

$(READY_TO_TEST): pyproject.toml constraints.txt
	$(call install,.[test],$@ $(READY))
