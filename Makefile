# make benchmark   install what is missing, run the main job, print its tables
# make test        install what is missing, run the tests
# make weights     train every shipped weight file again (2 to 3 hours on 2 cores; resumable)
# make lint        ruff and mypy
PYTHON ?= python3
BIN = .venv/bin

.PHONY: benchmark test weights lint install

install:
	@$(PYTHON) .ci/install.py

benchmark: install
	@echo 'CM-A-E on the embedded benchmark, all datasets and evaluation splits: about 4 minutes on 2 cores'
	@$(BIN)/python run_benchmark.py --grounder cmae

test: install
	@$(BIN)/python -m pytest $(ARGS)

weights: install
	@$(BIN)/python run_benchmark.py train all

lint: install
	@$(BIN)/ruff check .
	@$(BIN)/mypy
