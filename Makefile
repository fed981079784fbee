# make run    environment, then the whole default experiment; prints where the report is
# make test   environment, then tests, with linters beside them; THOROUGH=1, as CI does, goes through whole runs once
#             more and checks types
# make test-fast  the tests of single modules alone, without Snakemake, browsers and servers
# make test-instruction-sets   the fast tests as other processors would compute
# make share  hands results to DVC and git, pushes them, says what a colleague types
# make pull   fetches shared results; WHAT="report figures tables" leaves out networks and dumps
# make check-reference  holds a run's verdicts and their values against the authors' (results/reference)
# make verify holds results against their records, computes nothing
# make reproduce RESULT=results/…   makes one result again, beside the one here, and compares
# make compare A=results/… B=results/…   what differs between two experiments, as a page: PAGE=compare.html
# make clean-dumps  removes dumps from which everything was made; DRY=1 only lists them
# make clean-cache  removes decoded photographs; jobs that need them decode them again
# make gpu-check  on a machine with a GPU: its tests, rates, memory, two networks, in 8 minutes;
#             PYTHON=… SETUP=no takes a Python that has torch, PACKAGES=… what it lacks, offline
# make docs   the documentation as a site: .cache/site/index.html
# make setup  environment alone
# make lock   resolve pyproject.toml's dependencies anew

SYSTEM := $(shell uname -s)
ifneq ($(SYSTEM),Linux)
  $(error sightlines runs on Linux only, and this is $(or $(SYSTEM),an unknown system). On Windows, install WSL 2 (wsl --install) and work in its Linux; on macOS, use a Linux machine, container or virtual machine)
endif

PYTHON ?= python3
CONFIG ?= workflow/config/default.yaml
VENV := .venv
BIN := $(VENV)/bin
# uv links packages from its cache into .venv: several GB of CUDA libraries exist once.
UV_VERSION := $(shell sed -n 's/^uv==\([0-9.]*\).*/\1/p' requirements.lock)
export UV_LINK_MODE ?= hardlink
# Where Python may not keep its bytecode, every start would compile a thousand modules: 2 to 5 s. What make starts keeps that of
# the modules which it uses; what is set up for other calls gets all 18,000 compiled, which takes half a minute.
COMPILE := $(if $(PYTHONDONTWRITEBYTECODE),$(if $(filter run test test-fast,$(MAKECMDGOALS)),,--compile-bytecode))
unexport PYTHONDONTWRITEBYTECODE
export PATH := $(CURDIR)/$(BIN):$(PATH)

# Asked at every call (0.03 s): ready, outdated, foreign, or nothing where its Python does not start.
STATE := $(shell test -x $(BIN)/python && $(BIN)/python -I src/sightlines/core/checkout.py)

# What comes from the command line reaches the shell as one word, whatever is in it.
quoted = '$(subst ','\'',$(1))'

.PHONY: run check-reference docs test test-fast test-instruction-sets share pull reproduce verify compare clean-dumps clean-cache gpu-check setup lock lint check $(VENV)/ready

run: setup
	@test -f $(call quoted,$(CONFIG)) || { printf 'There is no config file %s; there are:\n' $(call quoted,$(CONFIG)); \
	  ls workflow/config/*.y*ml; exit 1; }
	snakemake --configfile $(call quoted,$(CONFIG))
	@name=$(call quoted,$(CONFIG)); name=$${name##*/}; echo "The report: results/$${name%.*}/report.html"

share: setup
	@$(BIN)/python -m sightlines.sharing.share $(call quoted,$(CONFIG)) $(if $(STALE),--stale)

pull: setup
	@$(BIN)/python -m sightlines.sharing.pull $(call quoted,$(CONFIG)) $(WHAT) $(if $(FORCE),--force)

reproduce: setup
	@$(BIN)/python -m sightlines.sharing.reproduce $(call quoted,$(RESULT)) $(if $(TOLERANCE),--tolerance $(TOLERANCE))

check-reference: setup
	@$(BIN)/python -m sightlines.sharing.reference $(call quoted,$(CONFIG))

verify: setup
	@$(BIN)/python -m sightlines.sharing.verify $(call quoted,$(CONFIG))

PAGE ?= compare.html
compare: setup
	@test -n $(call quoted,$(A)) -a -n $(call quoted,$(B)) || { echo "Name two folders of results: make compare A=results/default B=results/other"; exit 1; }
	@$(BIN)/sightlines compare $(call quoted,$(A)) $(call quoted,$(B)) --page $(call quoted,$(PAGE))

clean-dumps: setup
	@$(BIN)/python -m sightlines.sharing.clean_dumps $(call quoted,$(CONFIG)) $(if $(DRY),--dry)

# Of photographs alone: the rest of .cache is small, or what a killed run goes on from.
clean-cache:
	rm -rf .cache/sightlines/decoded

OUT ?= gpu-check
MINUTES ?= 8
gpu-check: $(if $(filter no,$(SETUP)),,setup)
	@$(if $(filter no,$(SETUP)),$(PYTHON),$(BIN)/python) benchmarks/gpu_check.py --out $(call quoted,$(OUT)) \
	  --minutes $(MINUTES) $(if $(PACKAGES),--packages $(call quoted,$(PACKAGES)))

setup: $(if $(filter ready,$(STATE)),,$(VENV)/ready)

# The programs of a folder that was moved or copied start another folder's code, or nothing.
$(VENV)/ready:
	@if [ "$(STATE)" != outdated ] && { [ -L $(VENV) ] || [ -e $(VENV)/pyvenv.cfg ]; }; then \
	  echo "$(VENV) is of another folder, or its Python is gone: it is made anew"; rm -rf $(VENV); fi
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "sightlines needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version). Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@test "$$($(BIN)/uv --version 2>/dev/null | cut -d' ' -f2)" = "$(UV_VERSION)" || \
	  { $(BIN)/python -m ensurepip >/dev/null 2>&1; sed -n '/^uv==/,/[^\\]$$/p' requirements.lock > $(VENV)/uv.lock && \
	    $(BIN)/python -m pip --quiet --disable-pip-version-check install --require-hashes -r $(VENV)/uv.lock; }
	$(BIN)/uv pip sync --quiet $(COMPILE) --require-hashes --python $(BIN)/python requirements.lock
	$(BIN)/uv pip install --quiet --no-deps --no-build-isolation --python $(BIN)/python --editable .
	$(if $(COMPILE),@$(BIN)/python -m compileall -q src/sightlines)
	@$(BIN)/python -I src/sightlines/core/checkout.py sign

# Two processes, whose libraries take one thread each: more would wait for each other.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadscope --no-loadscope-reorder

# Linters run meanwhile, and with THOROUGH the type checker, which takes one core for a minute where it has no cache. What they
# found is told last, where they failed.
test: setup
	@mkdir -p .cache; make --no-print-directory $(if $(THOROUGH),check,lint) >.cache/check.log 2>&1 & checked=$$!; \
	$(PYTEST) $(if $(THOROUGH),--thorough); tests=$$?; \
	wait $$checked || { cat .cache/check.log; echo "make $(if $(THOROUGH),check,lint) failed, as above"; exit 1; }; exit $$tests

test-fast: setup
	$(PYTEST) -m "not workflow and not browser and not gpu and not whole and not thorough and not slow"

docs: setup
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs --quiet build
	@echo "The documentation: .cache/site/index.html"

test-instruction-sets: setup
	$(BIN)/python -m tests.instruction_sets

lint: setup
	ruff check .
	ruff format --check .
	lint-imports --no-logo --cache-dir .cache/import-linter
	snakefmt --check Snakefile workflow

check: lint
	mypy

lock:
	$(BIN)/uv pip compile pyproject.toml --extra pipeline --extra share --extra dev --extra benchmark --universal --python-version 3.11 \
	  --generate-hashes --no-emit-index-url --no-annotate --quiet --output-file requirements.lock
