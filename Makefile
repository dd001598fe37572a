# Every target works on a fresh machine: the first one makes .venv and installs into it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
SCRATCH ?= build/peers
ROUNDS ?= 3
JOBS ?= 2
CASES ?= 50000
SEED ?= 1
AUDIT ?= build/audit
comma := ,
space := $(subst ,, )
TINY := $(subst $(space),$(comma),$(patsubst configs/experiment/%.yaml,%,$(sort $(wildcard configs/experiment/tiny/*.yaml))))

.DEFAULT_GOAL := help
.PHONY: help install run test test-slow check fuzz audit regression bench bench-criteo clean

help:  ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(INSTALLED)  ## Make .venv and install rectrain with its test tools into it
$(INSTALLED): setup.cfg pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@

run: $(INSTALLED)  ## Train model=dcn data=criteo on the built-in sample and write a report
	$(BIN)/rectrain model=dcn data=criteo

test: $(INSTALLED)  ## Run the fast tests, JOBS=2 files at a time
	$(BIN)/python -m pytest -q -n $(JOBS) --dist loadfile

test-slow: $(INSTALLED)  ## Run all tests, the slow ones too
	$(BIN)/python -m pytest -q -m 'slow or not slow'

check: $(INSTALLED)  ## Lint, format, types, then the fast tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -q -n $(JOBS) --dist loadfile

fuzz: $(INSTALLED)  ## Feed commands CASES=50000 mutated inputs, about half an hour; SEED=1
	$(BIN)/python scripts/fuzz.py --cases $(CASES) --seed $(SEED)

# A package that is not found and a service that does not answer are failures too (--strict), and so is an empty list.
audit: $(INSTALLED)  ## Look up the installed packages among known vulnerabilities (needs the network)
	mkdir -p $(AUDIT)
	$(BIN)/python -m pip freeze --exclude-editable > $(AUDIT)/packages.txt
	test -s $(AUDIT)/packages.txt
	test -x $(AUDIT)/bin/pip-audit || { $(PYTHON) -m venv $(AUDIT) && $(AUDIT)/bin/python -m pip install --quiet pip-audit; }
	$(AUDIT)/bin/pip-audit --strict --disable-pip --no-deps --progress-spinner off --requirement $(AUDIT)/packages.txt

regression: $(INSTALLED)  ## Train every tiny experiment in one sweep and hold its AUC to its band
	rm -rf build/regression
	$(BIN)/rectrain -m experiment=$(TINY) hydra.sweep.dir=build/regression

bench: $(INSTALLED)  ## Compare the speed with Keras, FuxiCTR and TorchRec (SCRATCH=folder for 6 GB, ROUNDS=3: 25 min)
	PYTHON=$(PYTHON) scripts/peers/install.sh $(SCRATCH)/venvs
	$(BIN)/python scripts/bench_peers.py --scratch $(SCRATCH) --rounds $(ROUNDS)

bench-criteo: $(INSTALLED)  ## Pair the models on real rows with another framework: ROWS=raw Criteo rows, THEIRS=predictions of another framework (npz)
	$(BIN)/python scripts/bench_criteo_110k.py $(ROWS) $(THEIRS)

clean:  ## Remove .venv, caches and everything that runs have written
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache outputs data/prepared data/sample
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
