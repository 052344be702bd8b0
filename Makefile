# make benchmark      install what is missing, run the main job, print its tables, write report.html
# make test           install what is missing, run the tests
# make test-clip      install the extra clip, run the tests of what it is for
# make test-wide      the tests' laws on twenty times as many examples
# make check          run a part of the benchmark and hold it against the committed baseline
# make baseline       run all of it and make the figures the baseline: make baseline REASON='what changed'
# make speed          the main job cold, kept, busy, resumed; one call for an image against a loop (half an hour)
# make scale          time and memory at the size of RefCOCO, RefCOCO+ and RefCOCOg (needs their expressions; hours)
# make weights        train every weight file again, into results/weights (hours on 2 cores; resumable)
# make paper          from data and a detector to the paper's tables: make paper DATA_ROOT=DIR DETECTOR=FILE ARGS=--dry-run
# make test-browser   the report and the demo in headless Chromium (Debian: apt-get install chromium chromium-driver)
# make broken-inputs  thousands of broken inputs to every entry point: make broken-inputs ARGS='images --all'
# make kill-and-resume  a small run killed fifty times, which comes to the same: make kill-and-resume ARGS='--times 9'
# make lint           ruff and mypy
BIN = .venv/bin
# The environment's own, once there is one: which python3 comes first on the path is asked only to make it.
PYTHON ?= $(shell for python in $(BIN)/python python3.11 python3.12 python3.13 python3; do \
	$$python -c '' 2>/dev/null && echo $$python && break; done)
# The tests of a file stay in one process, since they share what is slow to make; tests/conftest.py orders the files.
SPREAD = --numprocesses=2 --dist=loadfile --no-loadscope-reorder
DATASET = mini-refcoco
SPLIT = testB
CHECKED = results/check

.PHONY: benchmark test test-clip test-wide check baseline speed scale weights paper test-browser broken-inputs kill-and-resume \
	lint install

install:
	@$(PYTHON) .ci/install.py

benchmark: install
	@echo 'MAttNet, NMTree and CM-A-E on the embedded benchmark, all datasets and evaluation splits: about 3 minutes on 2 free cores'
	@$(BIN)/python run_benchmark.py --grounder all --fresh --out results/benchmark
	@$(BIN)/python -m reports tables results/benchmark --like paper --table 1,2 --ci
	@$(BIN)/python -m reports html results/benchmark -o results/benchmark/report.html

test: install
	@$(BIN)/python -m pytest $(SPREAD) $(ARGS)

test-clip: install
	@$(BIN)/python .ci/extra.py clip
	@$(BIN)/python -m pytest tests/extras $(ARGS)

test-wide: install
	@$(BIN)/python -m pytest $(SPREAD) -m hypothesis --hypothesis-profile=wide $(ARGS)

check: install
	@$(BIN)/python run_benchmark.py --grounder all --dataset $(DATASET) --split $(SPLIT) --fresh --out $(CHECKED)
	@$(BIN)/python -m reports check $(CHECKED) --against reports/baseline.json --part $(DATASET)/$(SPLIT) \
		--junit $(CHECKED)/check.xml --summary $(CHECKED)/check.md

baseline: install
	@$(BIN)/python run_benchmark.py --grounder all --fresh --out results/baseline
	@$(BIN)/python -m reports check results/baseline --against reports/baseline.json --update --reason '$(REASON)'

speed: install
	@$(BIN)/python -m tests.speed
	@$(BIN)/python -m tests.bars $(ARGS)

scale: install
	@nice $(BIN)/python -m tests.scale $(ARGS)

weights: install
	@$(BIN)/python run_benchmark.py train all

paper: install
	@$(BIN)/python run_benchmark.py paper --data-root '$(DATA_ROOT)' --detector '$(DETECTOR)' $(ARGS)

test-browser: install
	@$(BIN)/python -m pytest tests/browser $(ARGS)

broken-inputs: install
	@$(BIN)/python -m tests.broken_inputs $(ARGS)

kill-and-resume: install
	@$(BIN)/python -m tests.kill_and_resume $(ARGS)

lint: install
	@$(BIN)/ruff check .
	@$(BIN)/mypy
