# Each target prepares what it needs from a bare Python, so that on a fresh machine `make up` alone shows the clock.

PYTHON ?= python3
PORT ?= 8001
BIND ?= 127.0.0.1
SECONDS ?= 60
MINUTES ?= 20
run := .venv/bin/python

.PHONY: help bench bench-full up test soak check audit format browser redis fault-tools faults endurance punctuality \
  compose-test translations requirements clean

help:  ## Say what there is
	@sed -n 's/^\([a-z-]*\):.*##/\1:/p' Makefile

.venv: .venv/.ready

.venv/.ready: requirements-dev.txt
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11, 2) else "Python 3.11.2 or newer is needed, and this is " + sys.version.split()[0] + ": say make PYTHON=/path/to/python")'
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo 'This Python cannot make a virtual environment. On Debian: apt-get install python3-venv' >&2; exit 1; }
	@echo 'Preparing the environment in .venv: once, for about a minute.'
	@$(PYTHON) -m venv .venv
	@$(run) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.txt
	@touch $@

up: .venv/.ready  ## Run the clock: a broker, a ticker and a worker, until Ctrl-C (PORT=8001 BIND=127.0.0.1)
	@exec $(run) -m tournament.up --bind $(BIND) --port $(PORT) --end-with-parent

test: .venv/.ready browser redis  ## Run the tests
	$(run) -m pytest $(TESTS)

soak: .venv/.ready browser redis  ## Run the tests that need minutes of real time
	$(run) -m pytest -m soak $(TESTS)

check: .venv/.ready  ## Lint and check types
	$(run) -m ruff check .
	$(run) -m ruff format --check .
	$(run) -m mypy

audit: .venv/.ready  ## Look for known vulnerabilities in what the service installs, if that can be asked
	$(run) -m tests.project.audit

format: .venv/.ready  ## Format the code
	$(run) -m ruff check --fix --select I .
	$(run) -m ruff format .

browser: .venv/.ready  ## Install a Chromium for the tests, and a display for it, if there is none
	@$(run) -m testbed.browser

redis: .venv/.ready  ## Install a Redis with TLS and Sentinel for the tests, if there is none
	@$(run) -m testbed.redis_servers

fault-tools: .venv/.ready redis  ## Install what the fault suite needs, if it is not there: HAProxy, libfaketime, a C compiler
	@$(run) -m tests.faults.tools

faults: .venv/.ready fault-tools  ## Break each part of a running clock, and judge how it comes back (11 minutes; FAULTS=--readme)
	$(run) -m tests.faults $(FAULTS)

endurance: .venv/.ready  ## Have 300 viewers come and go for long, and see that nothing grows (MINUTES=20)
	$(run) -m tests.endurance --minutes $(MINUTES)

bench: .venv/.ready  ## Measure the worker against a bare loop and other servers, and update the documents (13 minutes)
	$(run) -m bench $(BENCH)

bench-full: .venv/.ready  ## The same with all subjects at all sizes (35 minutes)
	$(run) -m bench --full $(BENCH)

punctuality: .venv/.ready  ## Measure how punctual the ticker is, against a bare loop (SECONDS=60 PUNCTUALITY=--docs)
	$(run) -m bench.punctuality --seconds $(SECONDS) $(PUNCTUALITY)

compose-test: .venv/.ready  ## Build the image, run the Compose stack with three workers, and test it
	$(run) -m pytest tests/compose

.PHONY: docs
docs: .venv/.ready  ## Update what the documents show of the settings and of the modules
	$(run) -m tournament.configuration
	$(run) -m tests.project.modules

translations:  ## Compile clock/locale (needs msgfmt, which Debian has in gettext)
	for po in clock/locale/*/LC_MESSAGES/django.po; do msgfmt --check-format -o "$${po%.po}.mo" "$$po" || exit 1; done

requirements:  ## Pin the newest versions that pyproject.toml allows (needs uv)
	uv pip compile --upgrade --quiet pyproject.toml --universal --python-version 3.11.2 --generate-hashes --custom-compile-command "make requirements" -o requirements.txt
	uv pip compile --upgrade --quiet pyproject.toml --group dev --universal --python-version 3.11.2 --generate-hashes --custom-compile-command "make requirements" -o requirements-dev.txt

clean:  ## Remove what was made here
	rm -rf .venv .bench .static .hypothesis .mypy_cache .pytest_cache .ruff_cache
