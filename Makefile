# `make help` lists what there is. Variables: SRC, OUT, WORKERS, RAY_ADDRESS, ARGS, PYTHON.

SRC ?= data/demo
OUT ?= data/shards
WORKERS ?=
ARGS ?=
BIN := .venv/bin
REID_SHARDS := $(BIN)/reid-shards
WORKERS_OPTION := $(if $(WORKERS),--workers $(WORKERS))

.DEFAULT_GOAL := help
.PHONY: help setup demo convert verify stream report test soak lint bench wheel clean

help:  ## list the targets
	@sed -nE 's/^([a-z]+):.*## (.*)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 12
	@echo "Variables: SRC, OUT, WORKERS, RAY_ADDRESS, ARGS (more options), PYTHON (to set up with)."
	@echo "Example: make convert SRC=/data/City1M OUT=/data/shards WORKERS=16 ARGS='--margin 8'"

.venv/installed: pyproject.toml .ci/setup .ci/constraints.txt $(wildcard pipeline/*/core/*.[ch])
	@.ci/setup

setup:  ## make .venv with everything in it, Pillow-SIMD compiled from source
	@.ci/setup

demo: .venv/installed  ## make a sample set, convert, verify, stream and show it
	@rm -rf data/demo-shards
	$(REID_SHARDS) demo data/demo --images 400 $(WORKERS_OPTION)
	$(REID_SHARDS) convert data/demo data/demo-shards --samples-per-shard 250 $(WORKERS_OPTION) $(ARGS)
	$(REID_SHARDS) verify data/demo-shards $(WORKERS_OPTION)
	$(REID_SHARDS) stream data/demo-shards
	@echo "The set lies in data/demo-shards: data/demo-shards/README.md says what is in it and how to load it."
	$(REID_SHARDS) report data/demo-shards

convert: .venv/installed  ## convert SRC to OUT
	$(REID_SHARDS) convert "$(SRC)" "$(OUT)" $(WORKERS_OPTION) $(ARGS)

verify: .venv/installed  ## check OUT to the last byte
	$(REID_SHARDS) verify "$(OUT)" $(WORKERS_OPTION) $(ARGS)

stream: .venv/installed  ## read an epoch of OUT as a training job does
	$(REID_SHARDS) stream "$(OUT)" $(WORKERS_OPTION) $(ARGS)

report: .venv/installed  ## make a page that shows what is in OUT
	$(REID_SHARDS) report "$(OUT)" $(ARGS)

# Tests wait about as long as they compute, so that three at a time keep two cores busy. The longest come first.
test: .venv/installed  ## run the tests
	$(BIN)/pytest -n $(or $(WORKERS),3) --dist loadscope --no-loadscope-reorder $(ARGS)

soak: .venv/installed  ## run the long campaigns: hours of hostile input, random examples and lost machines
	$(BIN)/python -m tests.fuzz.headers
	$(BIN)/python -m tests.fuzz.run --seconds 3600
	$(BIN)/python -m tests.fuzz.samples --seconds 600
	$(BIN)/python -m tests.hostile --seconds 3600
	$(BIN)/pytest -m hypothesis --hypothesis-profile soak $(ARGS)
	CHAOS_SEEDS=60 $(BIN)/pytest tests/pipeline/run/test_chaos.py tests/pipeline/run/test_interrupted_runs.py \
	    tests/pipeline/sources/sysu30k/test_sysu30k_source.py $(ARGS)

lint: .venv/installed  ## check style, types and the import contract
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: .venv/installed  ## measure against the peers, in one run
	$(BIN)/python -m tests.benchmarks $(ARGS)

wheel: .venv/installed  ## build the manylinux wheel into dist/
	$(BIN)/python -m pip --quiet install --constraint .ci/constraints.txt --group wheel
	rm -rf build/wheel
	$(BIN)/python -m build --wheel --outdir build/wheel
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/auditwheel repair --wheel-dir dist build/wheel/*.whl

clean:  ## remove what was built and what the demo made; .venv and other sets stay
	rm -rf data/demo data/demo-shards
	rm -rf build dist .import_linter_cache .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info
