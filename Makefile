# `make repro` and `make test` are all that is needed: each first sets up what it needs.
# They want Python >= 3.11 with venv, git, and nothing else.

# The interpreter that the environment is made from.
PYTHON ?= python3
# The suite that `make repro` runs.
SUITE ?= laptop
# Further arguments of dvc or pytest, such as ARGS=--keep-going or ARGS="-k planar".
ARGS ?=
# The build of torch: cpu (small), cu126, ...; default is what the package index serves.
# An environment remembers its build, in the name of the file that says it is complete.
TORCH := $(or $(TORCH),$(patsubst .venv/torch-%,%,$(wildcard .venv/torch-*)),default)

UV_VERSION := 0.13.9
UV := .cache/uv-$(UV_VERSION)/bin/uv
# OpenMP's threads otherwise spin while they wait, which slows a machine of few cores down. Each stage is a process,
# which would compile torch's sources again if it might not keep the result.
RUN := PATH="$(CURDIR)/.venv/bin:$$PATH" OMP_WAIT_POLICY=passive PYTHONDONTWRITEBYTECODE= DO_NOT_TRACK=true
# At most four processes, since each takes up to 4 GB. More processes than processors are slower.
PYTEST := $(RUN) pytest -n $(shell env -u OMP_NUM_THREADS nproc) --maxprocesses 4

.DEFAULT_GOAL := help
.PHONY: help repro test test-fast test-slow lint format bench peers docs env lock clean

help: ## say what can be made
	@echo "Usage: make TARGET [SUITE=toy] [TORCH=cpu] [PYTHON=python3.12] [ARGS=...]"
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

ifeq ($(SUITE),peers) # has an environment and a folder of its own
repro: peers
else
repro: env ## run a suite (dvc repro $(ARGS)); SUITE=toy runs that one
	@$(RUN) flowbench expand $(SUITE) # a mistake in a configuration in one line, where DVC's own would be obscure
	$(RUN) python -m flowbench.runtime.warm dvc repro $(if $(filter-out laptop,$(SUITE)),suites/$(SUITE)/dvc.yaml) $(ARGS)
endif

test: env ## run the tests (pytest $(ARGS))
	$(PYTEST) -m "not slow" $(ARGS)

test-fast: env ## run the tests of the layers and of what they stand on: core, networks, layers, config, runtime
	$(PYTEST) -m "not slow" $(addprefix tests/,core networks layers config runtime) $(ARGS)

test-slow: env ## survive kills, faults and many more inputs, for the reports to tell
	$(PYTEST) -m "slow or survival" --hypothesis-profile=long --record-survived=reports/survived.json $(ARGS)

lint: env ## check style, types, the layers of packages and the freshness of expanded files
	$(RUN) ruff check
	$(RUN) ruff format --check
	$(RUN) mypy
	$(RUN) lint-imports
	$(RUN) flowbench expand --check

format: env ## rewrite the code in the project's style
	$(RUN) ruff check --fix
	$(RUN) ruff format

bench: env .venv-bench/peers ## time flowbench beside other libraries (python -m bench $(ARGS)) and write reports/bench; idle machine
	OMP_NUM_THREADS=1 TQDM_DISABLE=1 $(RUN) .venv-bench/bin/python -W ignore -m bench $(ARGS)

peers: .venv-bench/peers ## train and measure the flows of other libraries beside ours, and write reports/peers
	$(subst .venv/,.venv-bench/,$(RUN)) .venv-bench/bin/python -W ignore -m bench.suite $(ARGS)

docs: env ## build the documentation, docs/_build/html/index.html; it needs no network
	$(RUN) sphinx-build --quiet --fail-on-warning docs docs/_build/html

env: .venv/torch-$(TORCH) ## make .venv from requirements.txt; TORCH=cpu takes the small build of torch

lock: $(UV) ## renew requirements.txt: the newest versions that pyproject.toml admits
	env -u UV_FIND_LINKS -u UV_TORCH_BACKEND \
	$(UV) pip compile pyproject.toml --group dev --upgrade --universal --python-version 3.11 --fork-strategy fewest \
		--no-emit-index-url --no-emit-find-links --annotation-style line --custom-compile-command "make lock" \
		--quiet --output-file requirements.txt

clean: ## remove the environment and what the tools cached; results stay
	rm -rf .venv .venv-bench .cache docs/_build .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache *.egg-info

# The lock constrains the installation rather than being its list, since the CPU build of torch needs far less of it.
.venv/torch-$(TORCH): requirements.txt pyproject.toml | $(UV)
	$(UV) venv --quiet --clear --python $(PYTHON) .venv
	$(UV) pip install --python .venv --editable . --group dev --constraints requirements.txt \
		--build-constraints requirements.txt $(if $(filter-out default,$(TORCH)),--torch-backend $(TORCH))
	@touch $@

# The other libraries stand in an environment of their own, as what they need may exclude what we need.
.venv-bench/peers: bench/requirements.txt requirements.txt pyproject.toml | $(UV)
	$(UV) venv --quiet --clear --python $(PYTHON) .venv-bench
	$(UV) pip install --quiet --python .venv-bench --editable . --requirements bench/requirements.txt --constraints requirements.txt \
		$(if $(filter-out default,$(TORCH)),--torch-backend $(TORCH))
	@touch $@

$(UV):
	$(PYTHON) -m venv $(@D)/..
	$(@D)/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
