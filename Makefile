# Two commands do everything: `make demo` and `make test`. The rest is in README.md.

VENV := .venv
UV_VERSION := 0.13.8
# An uv that is already there is taken; else one is put beside the project, not into the system.
UV := $(shell command -v uv || echo .tools/bin/uv)

# A file's tests stay together, since they share what is slow to set up; long ones begin early.
PARALLEL := -n logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder

.PHONY: help demo test test-fast lint format install install-dev lock clean

help: ## what there is to make
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

demo: install ## the whole pipeline on a small data set that it makes itself (under 6 minutes)
	@$(VENV)/bin/overtile demo

test: install-dev lint ## the linter, the type checker, and all tests
	@$(VENV)/bin/python -m pytest $(PARALLEL)

test-fast: install-dev ## only the tests that take seconds
	@$(VENV)/bin/python -m pytest $(PARALLEL) -m "not slow"

lint: install-dev ## ruff and mypy
	@$(VENV)/bin/ruff format --check --quiet . || { echo "Run 'make format'."; exit 1; }
	@$(VENV)/bin/ruff check --quiet .
	@$(VENV)/bin/mypy --no-error-summary

format: install-dev ## puts the code into ruff's form
	@$(VENV)/bin/ruff format --quiet . && $(VENV)/bin/ruff check --quiet --fix .

install: $(VENV)/.installed ## the virtual environment, from the lock file

install-dev: $(VENV)/.installed-dev

lock: $(UV) ## resolves the dependencies anew
	@$(UV) lock

clean: ## removes what was made: environment, demo, caches
	rm -rf $(VENV) .tools demo build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache

# The stamps are older than the lock file only if it changed after they were made.
$(VENV)/.installed: uv.lock pyproject.toml | $(UV)
	@.ci/install $(UV)
	@touch $@

$(VENV)/.installed-dev: uv.lock pyproject.toml | $(UV)
	@.ci/install $(UV) --extra dev --extra kubeflow
	@touch $@ $(VENV)/.installed

.tools/bin/uv:
	@echo "Getting uv, which installs what the lock file names ..."
	@python3 -m venv .tools || { rm -rf .tools; echo "Python's venv module is missing: \
	install it (Debian and Ubuntu: apt-get install python3-venv), or uv, and run make again."; exit 1; }
	@.tools/bin/python -m pip install --quiet uv==$(UV_VERSION) || { rm -rf .tools; exit 1; }
