# Two commands: `make evidence` runs the claims, `make test` tests the package. Both set up what they
# need. `make notes` builds the page of docs/notes.md, `make api` the reference in docs/api, `make calibrate`
# docs/calibration.md with its pictures.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/installed
# For two cores: two workers, a thread each. One asks smollm2-135m its prompts, the other all else.
CLAIMS := OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(BIN)/python -m pytest claims/ --numprocesses 2

# Tests and claims start many processes, and each would compile all modules anew, and rewrite pytest's plugins.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: evidence evidence-all notes api test test-slow calibrate lint setup
evidence: setup
	$(CLAIMS) -m "cpu and not slow" $(ONLY)

evidence-all: setup
	$(CLAIMS) -m cpu

notes: setup
	OPTIM_HUNTER_MODEL=smollm2-135m $(BIN)/optim-hunter notes docs/notes.md

api: setup
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[docs]'
	$(BIN)/python -m pdoc --docformat google --output-directory docs/api optim_hunter

test: setup
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests -m "cpu and not slow" --numprocesses 2 --dist loadfile

test-slow: setup
	$(BIN)/python -m pytest -m "cpu and slow" --claims-seeds 0-11 --claims-out reports/test-slow-$$(date +%Y-%m-%dT%H-%M-%S)

calibrate: setup
	$(BIN)/python -m benchmarks.calibrate

lint: setup
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/pip || { rm -rf .venv && $(PYTHON) -m venv .venv; } || \
		{ echo "no virtual environment: install it first, with apt install python3-venv on Debian"; exit 1; }
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[test,lint]'
	touch $(STAMP)
