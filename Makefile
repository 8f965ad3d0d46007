# Two commands: `make demo` opens a shop, `make test` runs the whole test suite.
#   make demo SHOP=gifts FILE=online_retail.csv    the gift shop, from the file you downloaded
#   make demo ONCE=1                                publish and print, then stop
#   make demo PORT=8080                             another port
#   PIP_FLAGS="..."                                 more words for pip, such as an index of CPU builds

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SHOP ?= journey
FILE ?=
PORT ?=
ONCE ?=
PIP_FLAGS ?=
PIP := $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt $(PIP_FLAGS)

.PHONY: demo test test-faults check clean

demo: $(VENV)/.installed-demo
	$(BIN)/shopkeeper demo $(SHOP) $(if $(FILE),--file "$(FILE)") $(if $(ONCE),--once) $(if $(PORT),--port $(PORT))

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not faults"

test-faults: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m faults

check: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy
	$(BIN)/pydoclint --quiet shopkeeper

clean:
	rm -rf $(VENV) build *.egg-info

$(BIN)/python:
	$(PYTHON) -c 'import sys; sys.exit("Shopkeeper needs Python 3.11 or newer; set PYTHON=...") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)

# torch first and by its exact version: other packages would take the newest build they find.
$(VENV)/.installed-demo: $(BIN)/python pyproject.toml constraints.txt
	$(PIP) "$$(grep '^torch==' constraints.txt)"
	$(PIP) -e '.[train,demo]'
	touch $@

$(VENV)/.installed-dev: $(VENV)/.installed-demo
	$(PIP) -e '.[train,demo,dev]'
	touch $@
