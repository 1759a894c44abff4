# Two commands for a newcomer: `make demo` runs the main job, `make test` the tests. Each sets up what it needs
# in .venv on a machine with Python 3.11 or later and pip; a second call is quick.

PYTHON ?= $(firstword $(foreach name,python3 python3.13 python3.12 python3.11,$(shell \
  $(name) -c 'import sys; print(sys.executable if sys.version_info >= (3, 11) else "")' 2>/dev/null)))
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
CODE := activations probes mi_bsa tests benchmarks docs/hooks.py

CUDA := .venv-cuda
# from 2.14 on, for the CPU build that constraints.txt pins may be what the pinned version gives; of the registry, Linux
# has the CUDA build
CUDA_TORCH ?= torch==2.14.1

.PHONY: demo real test pages check check-cuda static format docs site mutants setup help
.DEFAULT_GOAL := help

help:
	@echo "make demo    run the main job in its short form: behavior, self-report, what links them (2 minutes)"
	@echo "make real    finetune and inspect a real chat Llama of 135M parameters on choices (93 MB once; 15 minutes)"
	@echo "make test    run the tests (8 to 12 minutes), also on a real model where it can be had"
	@echo "make pages   run the guides and the notebooks, install wheel and sdist elsewhere (4 minutes)"
	@echo "make check   format, lint, types, layers, the site, then the tests"
	@echo "make check-cuda  everything on a CUDA device that is pretended: no GPU (5 GB once; 6 minutes)"
	@echo "make static  format, lint, types, layers: no tests (1 minute)"
	@echo "make format  format the code and mend what the linter can"
	@echo "make docs    write the pages that are generated from the code"
	@echo "make site    build the pages as a site, build/site/index.html; a broken link fails (half a minute)"
	@echo "make mutants plant small faults in statistics, results and verdicts; docs/mutants.md says what tests miss"

setup: $(READY)

# torch comes first, alone and pinned, so that nothing installed later can bring another build of it
$(READY): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "mi-bsa needs Python 3.11 or later: install one, or say make PYTHON=..." >&2; exit 2; }
	@echo "== 1/3 Python environment in $(VENV) ($(PYTHON))"
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv $(VENV)
	@echo "== 2/3 torch, as pinned in constraints.txt (large; once)"
	$(BIN)/python -m pip install "$$(grep '^torch==' constraints.txt)"
	@echo "== 3/3 mi-bsa and the exact set of constraints.txt"
	$(BIN)/python -m pip install -c constraints.txt -e ".[dev]"
	@touch $(READY)

demo: $(READY)
	@n=1; while [ -e runs/demo-$$n ]; do n=$$((n + 1)); done; \
	echo "== mi-bsa study configs/embedded/risk_short.yaml --out runs/demo-$$n"; \
	$(BIN)/mi-bsa study configs/embedded/risk_short.yaml --out runs/demo-$$n && \
	echo "== the report: $(CURDIR)/runs/demo-$$n/report.html"

real: $(READY)
	@n=1; while [ -e runs/real-$$n ]; do n=$$((n + 1)); done; began=$$(date +%s); \
	dtype=$$($(BIN)/python -c "from activations.devices import has_bfloat16 as has; print('bfloat16' if has() else 'float32')"); \
	$(BIN)/mi-bsa model get smollm2 && \
	echo "== mi-bsa finetune configs/smollm2/risk_real_finetune.yaml --out runs/real-$$n" && \
	$(BIN)/mi-bsa finetune configs/smollm2/risk_real_finetune.yaml --out runs/real-$$n && \
	echo "== mi-bsa inspect smollm2 \"runs/real-$$n/adapters/*\" --control shuffled-0 --dtype $$dtype --out runs/real-$$n-inspected" && \
	$(BIN)/mi-bsa inspect smollm2 "runs/real-$$n/adapters/*" --control shuffled-0 --dtype $$dtype --out runs/real-$$n-inspected && \
	echo "== the report: $(CURDIR)/runs/real-$$n-inspected/report.html ($$(($$(date +%s) - began)) s)"

test: $(READY)
	@echo "== the real model and three real tokenizers (once: 170 MB; what cannot be had, its tests are skipped)"
	@$(BIN)/python -m tests.real
	@echo "== pytest (marked slow and gpu left out: $(BIN)/pytest -m slow)"
	@began=$$(date +%s); MI_BSA_FETCH=$${MI_BSA_FETCH:-"make test could not have it"} OMP_NUM_THREADS=1 \
	$(BIN)/python -m pytest -q -n 2 --dist worksteal && \
	echo "== all tests passed in $$(($$(date +%s) - began)) s"

pages: $(READY)
	@echo "== pytest: guides and notebooks, run as a reader would; wheel and sdist outside of the repository"
	@MI_BSA_FETCH=$${MI_BSA_FETCH:-"make test could not have it"} OMP_NUM_THREADS=1 \
	$(BIN)/python -m pytest -q -n 2 --dist worksteal -m "pages and not slow" tests/test_docs.py tests/test_notebooks.py tests/test_wheel.py

check: static site
	@$(MAKE) --no-print-directory test
	@$(MAKE) --no-print-directory pages

# an environment of its own holds the CUDA build of torch alone; everything else is that of .venv
check-cuda: $(READY)
	@is_there() { $(CUDA)/bin/python -c "import torch; assert torch.version.cuda" 2>/dev/null; }; \
	is_there || { echo "== $(CUDA_TORCH) in $(CUDA) (several GB; once)"; \
	  $(BIN)/python -m venv $(CUDA) && $(CUDA)/bin/python -m pip install -q "$(CUDA_TORCH)"; \
	  site='import sysconfig; print(sysconfig.get_path("purelib"))'; \
	  echo "import site; site.addsitedir('$$($(BIN)/python -c "$$site")')" \
	    > "$$($(CUDA)/bin/python -c "$$site")/packages_of_venv.pth"; }; \
	is_there || { echo "== skipped: the CUDA build of torch cannot be had here ($(CUDA_TORCH), $$(uname -sm))"; exit 0; }; \
	OMP_NUM_THREADS=1 $(CUDA)/bin/python -m pytest -q -m slow tests/cuda

static: $(READY)
	@echo "== format"; $(BIN)/ruff format --check $(CODE)
	@echo "== lint"; $(BIN)/ruff check $(CODE)
	@echo "== types"; $(BIN)/mypy
	@echo "== layers"; $(BIN)/lint-imports

format: $(READY)
	$(BIN)/ruff format $(CODE)
	$(BIN)/ruff check --fix $(CODE)

docs: $(READY)
	$(BIN)/python -m mi_bsa.cli.docs > docs/cli.md
	$(BIN)/python -m mi_bsa.cli.docs_helps > mi_bsa/cli/helps.txt
	$(BIN)/python -m mi_bsa.cli.docs_results > docs/results.md
	$(BIN)/python -m mi_bsa.cli.docs_api docs/api
	$(BIN)/python benchmarks/page.py

site: $(READY)
	@echo "== site"; NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet
	@echo "== the site: $(CURDIR)/build/site/index.html (with search: $(BIN)/python -m http.server -b 127.0.0.1 -d build/site)"

mutants: $(READY)
	$(BIN)/python tests/mutation.py
