# `make help` lists the targets. Everything made here lies under .venv/, build/ and runs/.
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= python3
BIN := .venv/bin
PROFILE ?= lite
# Two notebooks at a time, each on its share of the cores: on two cores that is a third faster than one after the other.
JOBS ?= 2
CORES := $(shell $(PYTHON) -c 'import os; print(os.cpu_count() or 1)')
# Dozens of processes import torch here: compiled once, in .venv, that is 4 s each, else 10.
unexport PYTHONDONTWRITEBYTECODE
export OMP_NUM_THREADS ?= $(shell n=$$(( $(CORES) / $(JOBS) )); echo $$(( n > 0 ? n : 1 )))

LONGEST := notebooks/table3_uniform_vs_dimap.ipynb
LONG_TESTS := $(addprefix tests/,contracts/test_notebooks_on_pretrained.py contracts/test_notebooks.py \
	pruning/test_cost.py measurements/test_store.py contracts/test_book.py)
NOTEBOOKS := $(notdir $(LONGEST) $(filter-out $(LONGEST),$(wildcard notebooks/*.ipynb)))
EXECUTED := $(NOTEBOOKS:%=build/executed/$(PROFILE)/%)
NEEDED := --constraint constraints.txt --editable '.[book,grid,onnx,pdf,test]'
LIBRARY := $(shell find swinprune_lite -type f -not -name '*.pyc') $(wildcard results/*.json*)
PROSE := $(shell find book -type f -not -name '*.pyc')

SITE := build/site
PDF := $(SITE)/swinprune-lite.pdf

.PHONY: help book slides site pdf test reproduce outputs bench clean

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /\1	/p' Makefile | expand -t 10

book: .venv/installed ## run every notebook (PROFILE=lite) and build the book from them
	$(MAKE) -j$(JOBS) $(EXECUTED)
	$(MAKE) build/book/$(PROFILE).done
	@echo "The book: build/book/_build/html/index.html"

slides: .venv/installed ## the slides of the course, from the executed notebooks: build/slides/*.html
	$(MAKE) -j$(JOBS) $(EXECUTED)
	PYTHONPATH=book $(BIN)/python -m teaching.slides build/executed/$(PROFILE) build/slides

site: book ## the folder to publish, its links checked: the book with the report and the slides: build/site
	$(BIN)/python book/publish.py build/book/_build/html $(SITE)

pdf: .venv/installed ## the site, and in it the book as a PDF, which Chromium prints: build/site/swinprune-lite.pdf
	@# without a Chromium it says so now, not after the notebooks
	$(BIN)/python book/printing.py
	$(MAKE) site
	$(BIN)/python book/printing.py $(SITE) --pdf $(PDF)
	@echo "The PDF: $(PDF)"

# No test waits for a hub.
test: export HF_HUB_OFFLINE = 1
test: .venv/installed ## all tests: library, notebooks, book, browser
	$(BIN)/ruff check . && $(BIN)/ruff format --check .
	@# the longest first, so that all workers stay busy to the end; one more than cores, since many tests wait for processes
	$(BIN)/pytest -n $$(( $(JOBS) + 1 )) --dist loadfile --no-loadscope-reorder --durations 15 $(LONG_TESTS) notebooks tests --nbval --nbval-current-env

reproduce: .venv/installed ## compute the whole results store anew (an hour and more; goes on after a kill) and compare
	$(BIN)/python data_scripts/reproduce.py

outputs: ## run the notebooks and keep their outputs as the committed ones
	$(MAKE) book PROFILE=lite
	$(BIN)/python data_scripts/commit_outputs.py build/executed/lite notebooks

bench: .venv/installed ## ratios measured side by side on this machine
	OMP_NUM_THREADS=$(CORES) $(BIN)/python benchmarks/masks.py
	OMP_NUM_THREADS=$(CORES) $(BIN)/python benchmarks/throughput.py
	OMP_NUM_THREADS=$(CORES) $(BIN)/python benchmarks/acceleration.py

clean: ## remove what was built (not .venv)
	rm -rf build

.venv/installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@# uv takes a third of pip's time, but reads no pip.conf: where that names the only index within reach, pip does it
	$(BIN)/python -m pip install --quiet --constraint constraints.txt uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python $(NEEDED) || $(BIN)/python -m pip install --quiet $(NEEDED)
	@# matplotlib's font cache: made here, so that no notebook reports that it is being made
	$(BIN)/python -c 'import matplotlib.font_manager'
	touch $@

build/executed/$(PROFILE)/%.ipynb: notebooks/%.ipynb $(LIBRARY) .venv/installed
	@mkdir -p $(@D)
	$(BIN)/papermill --kernel python3 --no-progress-bar --parameters profile $(PROFILE) $< $@.part.ipynb
	mv $@.part.ipynb $@

build/book/$(PROFILE).done: $(EXECUTED) $(PROSE)
	$(BIN)/python book/assemble.py build/executed/$(PROFILE) build/book
	$(BIN)/jupyter-book build --warningiserror --keep-going --quiet build/book
	$(BIN)/python book/pngs.py build/book/_build/html
	@# a page's notebook, to take away, is the whole one, which runs
	cp $(EXECUTED) build/book/_build/html/_sources/notebooks
	touch $@
