# Each target prepares what it needs. On a fresh machine with Python, `make up` alone shows the clock.
#
# The targets for tests need programs beside Python. They print what they install with apt-get, and install only as root;
# INSTALL=no forbids it. If something is missing, they say how to get it and stop.

PYTHON ?= python3
PORT ?= 8001
BIND ?= 127.0.0.1
WORKERS ?= 1
SECONDS ?= 60
MINUTES ?= 20
PROCESSES ?= 3
run := .venv/bin/python
in_processes := -n $(PROCESSES) --dist loadfile --no-loadscope-reorder -p tests.scheduling

# The tests start hundreds of processes. Without bytecode each of them would compile the project anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help bench bench-full bench-test scaling up test page-test soak check audit format faults endurance punctuality \
  observe-test compose-test kubernetes-test translations requirements pictures javascript-lock clean

help:  ## List the targets
	@sed -n 's/^\([a-z-]*\):.*##/\1:/p' Makefile

.venv: .venv/.ready

.venv/.ready: requirements-dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11, 2) else "Python 3.11.2 or newer is required, and this is " + sys.version.split()[0] + ": try make PYTHON=/path/to/python")'
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo 'This Python cannot create a virtual environment. On Debian: apt-get install python3-venv' >&2; exit 1; }
	@echo 'Creating the environment in .venv. This happens once and takes about a minute.'
	@$(PYTHON) -m venv .venv
	@$(run) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@

up: .venv/.ready  ## Run a broker, a ticker and a worker until Ctrl-C (PORT=8001 BIND=127.0.0.1 WORKERS=1)
	@exec $(run) -m tournament.up --bind $(BIND) --port $(PORT) --workers $(WORKERS) --end-with-parent

tools-%: .venv/.ready
	@$(run) -m testbed.tools $*

test: tools-test  ## Run the tests, in PROCESSES=3 processes, which mostly wait (3 minutes; TESTS=path for some of them; INSTALL=no)
	$(run) -m pytest $(in_processes) $(TESTS)

page-test: tools-test  ## Run the tests of the page in Chromium (3 minutes)
	$(run) -m pytest $(in_processes) tests/page

soak: tools-soak  ## Run the tests that need real time or many processes (9 minutes)
	$(run) -m pytest -m soak $(or $(TESTS),tests)

bench-test: tools-test  ## Run each kind of scenario of the benchmark with few viewers (half a minute)
	$(run) -m pytest -m bench tests/bench

node_modules/.ready: .venv/.ready package-lock.json .npmrc
	$(run) -m testbed.javascript install
	@touch $@

check: .venv/.ready node_modules/.ready  ## Lint and check types, of Python and JavaScript, and validate the resources for Kubernetes
	$(run) -m ruff check .
	$(run) -m ruff format --check .
	$(run) -m mypy
	$(run) -m testbed.kubernetes.manifests
	$(run) -m testbed.javascript check

audit: .venv/.ready  ## Check the service's packages for known vulnerabilities, if the database can be reached
	$(run) -m tests.project.audit

format: .venv/.ready node_modules/.ready  ## Format the code
	$(run) -m ruff check --fix --select I .
	$(run) -m ruff format .
	$(run) -m testbed.javascript format

pictures: .venv/.ready  ## Take pictures of the page, all in .pictures, and of watch; those of the documentation in docs/pictures
	$(run) -m tests.page.pictures
	$(run) -m tests.clock.watch.display.picture

faults: tools-faults  ## Break each part of a running clock and check that it recovers (12 minutes; FAULTS=--readme updates the docs)
	$(run) -m tests.faults $(FAULTS)

endurance: .venv/.ready  ## Run a clock under load for MINUTES=20 and check that memory and counts do not grow
	$(run) -m tests.endurance --minutes $(MINUTES)

bench: .venv/.ready  ## Judge the targets against a bare loop and other servers, and update the documents (15 minutes)
	$(run) -m bench $(BENCH)

bench-full: .venv/.ready  ## The same, and plot every subject with more and more viewers until it saturates (35 minutes)
	$(run) -m bench --full $(BENCH)

scaling: .venv/.ready  ## Print what a crowd needs, from measured costs, and check the model against the benchmark (SCALING=--docs)
	$(run) -m bench.scaling $(SCALING)

punctuality: .venv/.ready  ## Measure how punctual the ticker is, against a bare loop (SECONDS=60 PUNCTUALITY=--docs)
	$(run) -m bench.punctuality --seconds $(SECONDS) $(PUNCTUALITY)

observe-test: tools-observe  ## Run Prometheus on a clock that breaks, and see each alert fire and resolve (3 minutes)
	$(run) -m pytest tests/observe

compose-test: tools-compose  ## Run the Compose stack with 300 viewers and break its parts (needs Docker; 8 minutes; COMPOSE=--docs)
	$(run) -m tests.compose $(COMPOSE)

kubernetes-test: .venv/.ready  ## Deploy to a cluster of two nodes and break things (needs kubectl; LOAD="kind load docker-image"; KUBERNETES=--docs)
	$(run) -m tests.kubernetes $(if $(LOAD),--load "$(LOAD)") $(KUBERNETES)

.PHONY: docs
docs: .venv/.ready  ## Update what the documents show of the settings and of the modules
	$(run) -m tournament.configuration
	$(run) -m tests.project.modules

translations:  ## Compile clock/locale (needs msgfmt, which Debian has in gettext)
	for po in clock/locale/*/LC_MESSAGES/django.po; do msgfmt --check-format -o "$${po%.po}.mo" "$$po" || exit 1; done

javascript-lock: .venv/.ready  ## Pin the packages of package.json in package-lock.json
	$(run) -m testbed.javascript lock

requirements:  ## Pin the newest versions that pyproject.toml allows (needs uv)
	uv pip compile --upgrade --quiet pyproject.toml --universal --python-version 3.11.2 --generate-hashes --custom-compile-command "make requirements" -o requirements.txt
	uv pip compile --upgrade --quiet pyproject.toml --group dev --universal --python-version 3.11.2 --generate-hashes --custom-compile-command "make requirements" -o requirements-dev.txt

clean:  ## Remove what these targets create
	rm -rf .venv node_modules .pictures .bench .static .hypothesis .mypy_cache .pytest_cache .ruff_cache
