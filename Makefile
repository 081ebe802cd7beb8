# `make run` measures, `make test` checks. Both make .venv first and need Python 3.11+ and make.
# On Linux without an NVIDIA GPU, save a few GB: make run PIP_FLAGS="--extra-index-url https://download.pytorch.org/whl/cpu"
PYTHON ?= python3
VENV ?= .venv
PIP_FLAGS ?=
SUITE ?= scaling
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: help run test check lint types format clean

help: ## Show this help.
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 12

run: $(INSTALLED) ## Run the scaling suite (another with SUITE=smoke) and say where the report is.
	$(BIN)/lmn-bench run --suite $(SUITE)

test: check $(INSTALLED) ## Lint, check types, run the tests.
	@# Some 300 processes start: with their bytecode kept, none compiles what the last one has.
	PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder

check: lint types ## Lint and types only.

lint: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(INSTALLED)
	$(BIN)/mypy

format: $(INSTALLED) ## Format the code.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean: ## Remove the environment and caches; results stay.
	rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else f"Python 3.11 or newer is needed, {v.major}.{v.minor} came; try: make PYTHON=python3.12")'
	@echo 'Making $(VENV): pip downloads torch and the packages of pyproject.toml. With the CPU build of torch they take'
	@echo '2.4 GB; the default one for Linux brings several GB of CUDA more. Without an NVIDIA GPU, stop and spare them:'
	@echo '  make $(MAKECMDGOALS) PIP_FLAGS="--extra-index-url https://download.pytorch.org/whl/cpu"'
	$(PYTHON) -m venv $(VENV)
	PIP_CONSTRAINT='$(CURDIR)/constraints.txt' $(BIN)/pip install --quiet --disable-pip-version-check $(PIP_FLAGS) -e '.[dev]'
	@touch $@
