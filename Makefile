# edgeapp: `make help` lists what there is. Set-up happens by itself, in .venv; see deploy/setup.sh.
#
#   make demo PYTHON=/path/to/python3.12     with this Python, not the newest suitable one on PATH
#   make demo WHEELHOUSE=folder              from a folder of packages, without any network

.DEFAULT_GOAL := help
.PHONY: help demo test slow check bench accept lock wheelhouse bundle clean

BIN := .venv/bin
TWICE := -n 2 --dist loadgroup  # two processes: most slow tests wait for others
DEMO := pipelines/inspection_demo.yaml pipelines/predictive_maintenance.yaml

help: ## list the targets
	@sed -n 's/^\([a-z]*\): ## \(.*\)/make \1 \2/p' Makefile | awk '{ printf "%s %-11s", $$1, $$2; $$1 = $$2 = ""; print }'

demo: ## run a camera and a vibration pipeline for 30 s, offline; Ctrl-C ends it sooner
	@deploy/setup.sh run
	@rm -rf .demo && mkdir .demo  # so that the pump is learned anew; pictures land there too
	@# A job of its own, so that Ctrl-C ends the demo (exit 0) and does not kill make.
	@[ ! -t 0 ] || set -m; STATE_DIRECTORY="$$PWD/.demo" $(BIN)/edgeapp run $(DEMO) --for 30s; exit $$?

test: ## run the fast tests
	@deploy/setup.sh test
	@$(BIN)/python -m pytest -m "not slow" $(TWICE)

slow: ## run the slow tests, which start real servers
	@deploy/setup.sh check  # one of them runs the type checker
	@$(BIN)/python -m pytest -m "slow and not alone" $(TWICE)
	@$(BIN)/python -m pytest -m alone

check: ## lint, check the format, the types and the layers
	@deploy/setup.sh check
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: ## compare with hand-written loops
	@deploy/setup.sh test
	@$(BIN)/python -m benchmarks

accept: ## measure everything that was promised, into docs/acceptance.md
	@deploy/setup.sh test
	@$(BIN)/python -m benchmarks.accept

lock: ## renew constraints.txt: the newest packages that fit, for each Python
	@deploy/lock.sh

wheelhouse: ## fetch all packages into WHEELHOUSE=folder, for machines without network
	@deploy/setup.sh wheels

bundle: ## put all that installs the service into BUNDLE=folder (or .tar.gz), for devices without network
	@deploy/setup.sh bundle

clean: ## remove what was built, .venv too
	rm -rf .venv .venv.tmp .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
