# hoopproxy: everything from a bare checkout. Needs a POSIX shell and a Python (.ci/find-python says which).
#
# Two environments: .boot holds uv, at one version; uv makes .venv from uv.lock. Both are made again when what they were
# made from has changed: the lock, setup files, the kernel, or the list of files (a strict editable install is a tree of
# links, so a new file needs a new link).

SHELL = /bin/sh
UV_VERSION = 0.13.9
BIN = .venv/bin

export UV_PYTHON_DOWNLOADS = never
export UV_PROJECT_ENVIRONMENT = .venv
unexport PYTHONDONTWRITEBYTECODE VIRTUAL_ENV PYTHONHOME PYTHONPATH

.PHONY: help build demo test check format bench corpus load cluster fuzz simulate clean FORCE
.DEFAULT_GOAL = help

help: ## say what there is (default)
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|' 2>/dev/null \
		|| sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1   \2/p' $(MAKEFILE_LIST)

build: .venv/.installed ## make .venv with hoopproxy in it; everything below does it by itself

demo: build ## show what it does on a real PostgreSQL; ONCE=1 ends after the tour, STATE=DIR, PORT_BASE=N
	@$(BIN)/hoopproxy demo $(if $(ONCE),--once) $(if $(STATE),--state "$(STATE)") $(if $(PORT_BASE),--port-base $(PORT_BASE))

test: ## run all tests on real servers; ARGS='tests/wire -k cut' picks some, EXAMPLES=10 makes up ten times as many
	@.ci/system-packages
	@.ci/npm-packages
	@$(MAKE) --no-print-directory build
	@$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

check: build ## format, lint, types and import contracts, in under a minute
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports

bench: build ## measure against pgbouncer, haproxy, asyncssh, nginx, mitmdump; QUICK=1 tries it out, ONLY=REGEX, ROUNDS=N, MINUTES=N, SEED=N, MARKDOWN=PAGE
	@.ci/bench-packages
	@$(BIN)/python -m bench $(if $(QUICK),--quick) $(if $(ONLY),--only '$(ONLY)') $(if $(ROUNDS),--rounds $(ROUNDS)) \
		$(if $(MINUTES),--minutes $(MINUTES)) $(if $(SEED),--seed $(SEED)) $(if $(MARKDOWN),--markdown '$(MARKDOWN)')

corpus: ## attack masks on a real PostgreSQL: CORPUS=DIR (default: our own) or CORPUS=generated SEED=N; MODE=wire, POSTGRES=N, ONLY=REGEX
	@.ci/system-packages >&2
	@$(MAKE) --no-print-directory build >&2
	@$(BIN)/python -m tests.corpus $(if $(MODE),--mode $(MODE)) $(if $(POSTGRES),--postgres $(POSTGRES)) $(if $(SEED),--seed $(SEED)) \
		$(if $(ONLY),--only '$(ONLY)') $(if $(CORPUS),'$(CORPUS)')

load: build ## many sessions, huge values: the whole of tests/load, of which `make test` runs a small one; ARGS='-k value'
	@LOAD=full $(BIN)/python -m pytest tests/load --timeout=1200 $(ARGS)

cluster: build ## build a real Kubernetes 1.20 from Debian's source and run kubectl on it through the gateway; as root, on Debian 12
	@.ci/cluster-packages
	@.ci/cluster-build
	@CLUSTER=.cluster/bin .ci/cluster-run $(BIN)/python -m pytest tests/cluster --timeout=600 $(ARGS)

fuzz: build ## fuzz all that parses outsiders' bytes, SECONDS=60 each; HARNESS='client server' picks some (fuzz/README.md)
	@.boot/bin/uv sync --quiet --frozen --all-extras --group dev --group fuzz --python .boot/bin/python
	@$(BIN)/python -m fuzz --seconds $(or $(SECONDS),60) $(HARNESS)

simulate: build ## play whole gateways under random weather: SEEDS=1000 of them, or SEED=N again, line by line (docs/testing.md)
	@$(BIN)/python -m hoopproxy.testing.simulation $(if $(SEED),--seed $(SEED),--seeds $(or $(SEEDS),1000))

format: build ## bring files into form
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

clean: ## remove all that make made
	rm -rf .boot .venv .npm-packages .cluster .stamps build *.egg-info
	rm -rf .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	rm -f hoopproxy/wire/_kernel.c hoopproxy/wire/_kernel*.so
	rm -rf fuzz/corpus fuzz/crashes
	find hoopproxy plugins tests fuzz twisted -name __pycache__ -prune -exec rm -rf {} +

.boot/.uv-$(UV_VERSION):
	@rm -rf .boot
	@python=$$(.ci/find-python) && echo "Making .boot with $$python and uv $(UV_VERSION)" && "$$python" -m venv .boot
	@.boot/bin/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@touch $@

# Where we are, whether there is a compiler, and all files that an install links to: rewritten only when it changes.
.stamps/files: FORCE
	@mkdir -p .stamps
	@{ pwd; command -v gcc; find hoopproxy plugins twisted \( -name '*.py' -o -name '*.toml' -o -name '*.sql' -o -name py.typed \) \
		| LC_ALL=C sort; } > $@.new || true
	@if cmp -s $@.new $@; then rm $@.new; else mv $@.new $@; fi

# setuptools compiles the kernel beside its source and links to it from the install, so that a checkout and an install run
# the same one. An old one goes first: where there is no compiler any more, nothing would replace it.
.venv/.installed: .boot/.uv-$(UV_VERSION) .stamps/files uv.lock pyproject.toml setup.cfg setup.py hoopproxy/wire/_kernel.py
	@[ "$$(cat .venv/.installed 2>/dev/null)" = "$(CURDIR)" ] || rm -rf .venv
	@find hoopproxy/wire -name '_kernel*.so' ! -newer hoopproxy/wire/_kernel.py -delete
	@.boot/bin/uv sync --quiet --frozen --all-extras --group dev --python .boot/bin/python --reinstall-package hoopproxy
	@$(BIN)/python -c 'import sys; from hoopproxy.wire.kernel import COMPILED; sys.exit(not COMPILED)' || { \
		echo '*********************************************************************************************'; \
		echo '*  WARNING: the row kernel is not compiled, since there is no working C compiler (gcc).     *'; \
		echo '*  All works, but masking a row costs about a hundred times more. Install gcc, make build.  *'; \
		echo '*********************************************************************************************'; } >&2
	@echo "$(CURDIR)" > $@
