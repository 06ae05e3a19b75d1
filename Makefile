# make demo: set up, train the quick study and report it.  make test: set up, lint, test, and rebuild what is in results/.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: setup demo test test-launchers test-machines soak lint format lock wheel clean

setup: $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; (3, 11) <= sys.version_info[:2] <= (3, 13) or sys.exit("hybridsep needs Python 3.11 to 3.13: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements.lock
	$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps -e .
	touch $@

demo: setup
	$(BIN)/python -m hybridsep.run experiment=quick
	$(BIN)/python -m hybridsep.report study=quick

test: setup lint
	$(BIN)/python -m pytest -n 2
	$(BIN)/python -m hybridsep.report --check

# Real sweeps through submitit and Ray, in an environment of their own: Ray brings fifty packages and older versions of some.
test-launchers: setup
	test -d $(VENV)-launchers || $(PYTHON) -m venv $(VENV)-launchers
	$(BIN)/uv pip install --quiet --python $(VENV)-launchers/bin/python --require-hashes -r requirements-launchers.lock
	$(BIN)/uv pip install --quiet --python $(VENV)-launchers/bin/python --no-deps -e .
	$(VENV)-launchers/bin/python -m pytest -m 'launchers or not launchers and not gpu and not slow' tests/launch/test_launchers.py

# The suite's telling parts under other conditions: instruction sets, cores, users, folders, locales, versions.
test-machines: setup
	$(BIN)/python scripts/test_machines.py

# Benchmarks for developers (scripts/benchmarks/): make bench-roofline; options: make bench-profile OPTIONS="--size paper".
BENCHMARKS := calibration profile numerics roofline scaling startup steps
bench-profile: MODULE := step_profile
bench-steps: MODULE := step_times
.PHONY: $(BENCHMARKS:%=bench-%)
$(BENCHMARKS:%=bench-%): bench-%: setup
	$(BIN)/python -m scripts.benchmarks.$(or $(MODULE),$*) $(OPTIONS)

# Kills a training at every file-system operation and at random instants, for minutes; the short form is in the tests.
soak: setup
	$(BIN)/python scripts/soak.py

lint: setup
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: setup
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

lock:
	$(BIN)/uv pip compile --quiet pyproject.toml --extra test --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-emit-find-links --no-annotate --no-header -o requirements.lock
	$(BIN)/uv pip compile --quiet pyproject.toml --extra test --extra joblib --extra slurm --extra ray --universal \
	  --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-emit-find-links --no-annotate --no-header -o requirements-launchers.lock

wheel: setup
	$(BIN)/uv build --wheel --out-dir dist

clean:
	rm -rf $(VENV) $(VENV)-launchers dist
