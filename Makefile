# Everything happens in .venv; `make demo` and `make test` set it up themselves.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
CC := cc
VENV := .venv
BIN := $(VENV)/bin
space := $() $()
# Named after the codecs that Pillow-SIMD finds: it is built again where one came later.
READY = $(VENV)/.ready-$(subst $(space),-,$(strip $(CODECS)))
DEMO := build/demo
# Held-out strips: the split puts them into validation, so training has not seen them.
DEMO_IMAGES = $(addprefix data/sample/strips/,000/000014.png 000/000097.png 001/000856.jpg 002/001474.png)
# Pillow-SIMD is SSE4 unless the compiler is told otherwise.
AVX2 := $(shell grep --quiet --word-regexp avx2 /proc/cpuinfo 2>/dev/null && echo -mavx2)

export PYTHON
CODECS := $(shell PYTHON=$(PYTHON) .ci/system-packages --codecs)

.PHONY: help setup demo test test-all check sample peers system-packages clean

help: ## Lists the targets.
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 24

setup: $(READY) ## Installs everything into .venv.

# Pillow-SIMD first and never from a cache: a wheel that was built for another CPU would be used.
$(READY): pyproject.toml setup.py constraints.txt
	@missing=$$(.ci/system-packages --required); \
	if [ -n "$$missing" ]; then \
	    echo "shardfeed needs system packages; run: apt-get install --yes $$missing" >&2; exit 1; \
	fi
	$(PYTHON) -m venv --clear $(VENV)
	if [ "$$(uname -sm)" = "Linux x86_64" ]; then \
	    CC="$(CC) $(AVX2)" $(BIN)/pip install --quiet --no-cache-dir --no-binary pillow-simd \
	        --constraint constraints.txt pillow-simd; \
	fi
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[test]'
	$(BIN)/python .ci/check_pillow.py
	@touch $(READY)

demo: $(READY) ## Converts the sample, trains, evaluates and predicts.
	@rm -rf $(DEMO)
	$(BIN)/convert data/sample/manifest.csv $(DEMO)/strips --crop 186 0 300 30 --size 128 32
	$(BIN)/train $(DEMO)/strips --run $(DEMO)/run --target exact=1
	$(BIN)/train evaluate $(DEMO)/run
	$(BIN)/train predict $(DEMO)/run $(DEMO_IMAGES)
	@echo "The run's files are in $(DEMO)/run"

# A file of tests stays in one process: its tests share what they set up. Which files begin is
# decided in tests/conftest.py.
PYTEST := $(BIN)/pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

test: $(READY) ## Runs the tests that need neither minutes nor Java nor a browser.
	$(PYTEST)

test-all: $(READY) ## Runs all tests, as CI does.
	$(PYTEST) -m "long or not long"

check: $(READY) ## Runs ruff, mypy, import-linter, and looks at PIL.
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python .ci/check_pillow.py

sample: $(READY) ## Renders data/sample again.
	rm -rf data/sample/strips
	$(BIN)/python data/render.py data/sample --count 1500 --seed 0

peers: $(READY) ## Installs what benchmarks/ compares with into .peers: up to 6 GB each.
	$(BIN)/python benchmarks/peers.py

system-packages: ## Prints the line that installs all system packages.
	@echo apt-get install --yes --no-install-recommends $$(.ci/system-packages --all)

clean: ## Removes what make made.
	rm -rf $(VENV) .peers .hadoop build
