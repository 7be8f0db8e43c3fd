# Every target builds what it needs, on a fresh machine with Python 3.11 or later.
# `make` alone lists the targets.

SHELL := /bin/bash
VENV := .venv-dev
BIN := $(VENV)/bin
# Two workers by default: real uv, copies of caches and locks keep a disk busy.
# In the order of their paths: reordered, the files of one long test would come last.
WORKERS ?= 2
# Set it where a wheel of pyxattr is at hand, and no compiler is needed.
NO_CHECK ?=
PYTEST := $(BIN)/python -m pytest
# What fails beside others is asked again alone (tests/support/again_alone.py); a fault of many isn't.
AGAIN := --reruns 1 --max-suite-reruns 5
CHECKED := cacheadmin tests docs/operations/debian docs/operations/rpm docs/operations/release

.DEFAULT_GOAL := help
.PHONY: help dev lint format test test-long test-nfs test-nfs-smoke test-pythons soak faults power-cuts fuzz stories mutation proof bench demo man-check completions schemas manual-rules deb rpm wheelhouse dist advisories clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

dev: $(VENV)/.ready ## build the development environment .venv-dev

# A command that exists may still not run (version switchers): each is tried.
# What --clear empties must be this folder's own: through a link it would be another checkout's.
$(VENV)/.ready: pyproject.toml
	@if [ -L $(VENV) ]; then \
	  echo 'make: $(VENV) is a link: build it where it leads to, or touch $@' >&2; exit 1; fi
	@set -e; python=; \
	for candidate in python3.13 python3.12 python3.11 python3; do \
	  if $$candidate -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' \
	      >/dev/null 2>&1; then python=$$candidate; break; fi; \
	done; \
	if [ -z "$$python" ]; then \
	  echo 'make: Python 3.11 or later with its venv module is needed' >&2; exit 1; fi; \
	docs/operations/check-build-tools.sh $$python || [ -n "$(NO_CHECK)" ]; \
	echo "building $(VENV) with $$python"; \
	$$python -m venv --clear $(VENV); \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@

lint: dev ## style, types and import rules
	$(BIN)/ruff check $(CHECKED)
	$(BIN)/ruff format --check $(CHECKED)
	$(BIN)/mypy
	$(BIN)/lint-imports

format: dev ## let ruff rewrite what it can
	$(BIN)/ruff check --fix $(CHECKED)
	$(BIN)/ruff format $(CHECKED)

test: dev ## every test but the long ones
	$(PYTEST) -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(AGAIN) -m 'not long and not nfs' $(ARGS)

test-long: dev ## all tests on one machine, the long ones too (many generated cases, others each time)
	$(PYTEST) --hypothesis-profile by-chance -n $(WORKERS) --dist loadfile --no-loadscope-reorder -m 'not nfs' $(ARGS)

# A worker has three machines of its own, with one at work at a time: about a core.
test-nfs: dev ## tests on virtual machines that share an NFS server (root; qemu, mmdebstrap)
	$(PYTEST) -n $(WORKERS) --dist worksteal -m nfs tests/nfs $(ARGS)

# For CI: a machine that can't have them, or on which they do not start, skips it with the reason.
test-nfs-smoke: dev ## one story of test-nfs, the one that .ci/run has; skipped where machines don't start
	CACHEADMIN_NFS_MAY_SKIP=1 $(PYTEST) -m 'nfs and smoke' tests/nfs $(ARGS)

# Each gets an environment of its own, beside that of `make dev`.
test-pythons: ## unit and property tests with each other Python that is here (3.11 to 3.14)
	@set -e; own=$$($(BIN)/python -c 'import sys; print("python3.%d" % sys.version_info[1])' 2>/dev/null || true); \
	for python in python3.11 python3.12 python3.13 python3.14; do \
	  [ $$python != "$$own" ] || continue; \
	  for found in $$python ~/.pyenv/versions/$${python#python}*/bin/$$python; do \
	    $$found -c 'import ensurepip, venv' >/dev/null 2>&1 && break; found=; \
	  done; \
	  if [ -z "$$found" ]; then echo "$$python: not on this machine"; continue; fi; \
	  echo "$$python: $$found"; \
	  [ -e .venv-$$python/.ready ] || $$found -m venv --clear .venv-$$python; \
	  .venv-$$python/bin/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'; \
	  touch .venv-$$python/.ready; \
	  .venv-$$python/bin/python -m pytest -q -n $(WORKERS) -m 'not long' tests/unit tests/property $(ARGS); \
	done

soak: dev ## ten minutes of all users at once (root; ARGS='--minutes 60')
	$(BIN)/python -m tests.soak $(ARGS)

faults: dev ## each system call of each command fails, or is the last one (root; hours)
	$(BIN)/python -m tests.faults $(ARGS)

power-cuts: dev ## cut the power at each flush of a recorded disk (root; qemu, FUSE)
	$(BIN)/python -m tests.power_cuts $(ARGS)

fuzz: dev ## ten minutes for each parser of what others write (ARGS='--seconds 60')
	$(BIN)/python -m tests.fuzz $(ARGS)

stories: dev ## what users and an administrator do in any order (ARGS='--stories 20')
	$(BIN)/python -m tests.stories $(ARGS)

mutation: dev ## change one thing in the core: some test must notice (ARGS='--sample 100')
	$(BIN)/python -m tests.mutation $(ARGS)

proof: dev ## soak, faults, power cuts, generated cases and mutants; writes docs/reliability.md (root; hours)
	$(BIN)/python -m tests.proof $(ARGS)

bench: dev ## side-by-side timings; prints ratios, fails on none
	$(BIN)/python -m tests.bench $(ARGS)

demo: dev ## watch uv break a shared cache, and cacheadmin not break it
	$(BIN)/python -m tests.support.demo

man-check: dev ## check the manual pages
	@for page in man/*.[1-9]; do \
	  problems=$$(groff -man -ww -z -Tutf8 $$page 2>&1); \
	  if [ -n "$$problems" ]; then echo "$$page: $$problems"; exit 1; fi; done
	$(PYTEST) -q tests/unit/house/test_manual_pages.py

completions: dev ## write the completion files of bash, zsh and fish
	$(BIN)/python -m cacheadmin.cli.completion_files docs/operations/completions

schemas: dev ## write the JSON Schemas of policies and documents
	$(BIN)/python -m cacheadmin.cli.schema_files docs/schemas

manual-rules: dev ## write PLAN RULES of cacheadmin(7) from the table of reasons
	$(BIN)/python -m cacheadmin.report.manual_rules man/cacheadmin.7

deb: dev ## build a Debian package in dist, for the Python of this system
	$(BIN)/python docs/operations/debian/build.py dist

rpm: dev ## build an RPM in dist, for the Python of this system
	$(BIN)/python docs/operations/rpm/build.py dist

wheelhouse: dev ## build every wheel once, for machines without compiler or network
	rm -rf dist/wheelhouse
	$(BIN)/python -m pip wheel --quiet --disable-pip-version-check --wheel-dir dist/wheelhouse '.[notify,postgresql]' pip
	@echo 'install it with: pip install --no-index --find-links dist/wheelhouse cacheadmin'

dist: dev ## build wheel, sdist, bill of materials and sums of HEAD in dist/release
	$(BIN)/python docs/operations/release/build.py dist/release

advisories: dev ## hold all dependencies against PyPI's advisories (network)
	$(BIN)/python -m venv dist/.pip-audit
	dist/.pip-audit/bin/python -m pip install --quiet --disable-pip-version-check pip-audit==2.10.1
	dist/.pip-audit/bin/pip-audit --strict --skip-editable --progress-spinner off --path $(VENV)/lib/python3*/site-packages

clean: ## remove everything that the targets made
	rm -rf $(VENV) .uv-releases .test-packages .test-python .nfs-images .demo .proof dist build
	rm -rf .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	rm -rf .venv-python3* .test-failures
	find cacheadmin tests -name __pycache__ -type d -prune -exec rm -rf {} +
