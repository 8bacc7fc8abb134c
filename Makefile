# Everything a newcomer needs: `make demo` and `make test` set up what they use.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PY := $(BIN)/python

.PHONY: demo evaluate environments test test-slow test-oldest test-newest parity fuzz bench gpu docs quality style clean

# The stamp is newer than the pins it was made from, so a change of pins installs again.
$(VENV)/.installed: pyproject.toml constraints.txt
	test -x $(PY) || $(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --no-compile --disable-pip-version-check --constraint constraints.txt --editable ".[dev,app,docs,browser]"
	touch $@

demo: $(VENV)/.installed
	$(PY) examples/demo.py --output demo_output

# The small model on held-out clips, with a page to look at.
evaluate: $(VENV)/.installed
	$(PY) examples/evaluate_shapes.py --output evaluate_output

# A process per core, one thread each. Threads that spin while they wait slow everything else down.
IN_PARALLEL := -n logical --maxprocesses 8 --dist loadfile
ONE_THREAD := OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE

test: $(VENV)/.installed
	VIDEOGLAMM_REQUIRE_SUITES=1 $(ONE_THREAD) $(PY) -m pytest -q $(IN_PARALLEL) -m "not slow"

# The small model against its floors, its recipe from scratch, longer training.
test-slow: $(VENV)/.installed
	VIDEOGLAMM_REQUIRE_SUITES=1 $(ONE_THREAD) $(PY) -m pytest -q $(IN_PARALLEL) -m slow

# What other versions of the libraries can break: numbers, documented paths,
# generation, training, quantisation, Hub, command line.
VERSION_TESTS := tests/parity tests/test_readme.py tests/test_generation.py tests/pipelines tests/test_asking_again.py \
	tests/training/test_training.py tests/loading/test_quantization.py tests/loading/test_device_maps.py \
	tests/hub/test_loading.py tests/cli/test_cli.py

.venv-oldest/.installed: pyproject.toml constraints.txt tests/lower_bounds.py
	test -x .venv-oldest/bin/python || $(PYTHON) -m venv .venv-oldest
	$(PYTHON) tests/lower_bounds.py > .venv-oldest/lower_bounds.txt
	.venv-oldest/bin/python -m pip install --quiet --no-compile --disable-pip-version-check \
		--constraint .venv-oldest/lower_bounds.txt --editable ".[dev]"
	touch $@

# Every lower bound of pyproject.toml.
test-oldest: .venv-oldest/.installed
	$(ONE_THREAD) .venv-oldest/bin/python -m pytest -q $(IN_PARALLEL) -m "not slow" $(VERSION_TESTS)

# What the index gives today, but for torch, whose newest builds are for CUDA.
TODAY := .venv-newest/.installed-$(shell date +%F)
$(TODAY): pyproject.toml constraints.txt
	test -x .venv-newest/bin/python || $(PYTHON) -m venv .venv-newest
	.venv-newest/bin/python -m pip install --quiet --no-compile --disable-pip-version-check --upgrade --upgrade-strategy eager \
		$(shell grep '^torch==' constraints.txt) --editable ".[dev]"
	touch $@

test-newest: $(TODAY)
	$(ONE_THREAD) .venv-newest/bin/python -m pytest -q $(IN_PARALLEL) -m "not slow" $(VERSION_TESTS)

# All three, at once with `make --jobs 3 environments`: an installer waits for the index and the disk, on one core.
environments: $(VENV)/.installed .venv-oldest/.installed $(TODAY)

parity: $(VENV)/.installed
	$(PY) -m pytest -q tests/parity

# Hostile inputs, seeded: `make fuzz SEED=7`, `make fuzz FUZZERS=models MINUTES=10`, `make fuzz COUNT=100`.
SEED ?= 0
fuzz: $(VENV)/.installed
	$(ONE_THREAD) $(PY) -m tests.fuzz $(FUZZERS) --seed $(SEED) $(if $(COUNT),--count $(COUNT)) $(if $(MINUTES),--minutes $(MINUTES))

bench: $(VENV)/.installed
	$(PY) benchmarks/run_all.py

# The tests marked gpu and the figures of benchmarks/gpu.py, four minutes each: `make gpu`, `make gpu HALF=tests`. Without a
# GPU it names what is skipped.
gpu: $(VENV)/.installed
	$(PY) benchmarks/gpu.py $(if $(HALF),--half $(HALF))

# The documentation: open site/index.html. A warning ends it. (The variable: its theme prints a notice otherwise.)
docs: $(VENV)/.installed
	NO_MKDOCS_2_WARNING=1 $(ONE_THREAD) $(PY) -m mkdocs build --strict

quality: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

style: $(VENV)/.installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) .venv-oldest .venv-newest demo_output evaluate_output site .cache .pytest_cache .ruff_cache .hypothesis
