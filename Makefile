# Sets Varde up, runs it, checks it and tests it on a fresh Debian machine with Python 3.11 or newer.
# The settings VARDE_PORT, VARDE_DATA and VARDE_DATABASE_URL are honoured: see src/varde/settings.py.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
PYTHON ?= python3
BIN := .venv/bin
STAMPS := .venv/stamps

.PHONY: run setup check test proof bench lock

# Everything on this machine, at http://127.0.0.1:8000 (VARDE_PORT), with its data in data/ (VARDE_DATA).
run: setup
	@exec $(BIN)/varde run

setup: $(STAMPS)/python $(STAMPS)/node $(STAMPS)/fhir $(STAMPS)/web

# uv lives in an environment of its own: Debian's Python refuses pip outside one (PEP 668).
$(STAMPS)/python: requirements.lock pyproject.toml
	uv=$$(command -v uv || command -v .uv/bin/uv || true); \
	if [ -z "$$uv" ]; then $(PYTHON) -m venv .uv && .uv/bin/pip install -q uv; uv=.uv/bin/uv; fi; \
	[ -d .venv ] || "$$uv" venv -q --python "$$($(PYTHON) -c 'import sys; print(sys.executable)')" .venv; \
	"$$uv" pip sync -q --python $(BIN)/python requirements.lock; \
	"$$uv" pip install -q --python $(BIN)/python --no-deps -e .
	mkdir -p $(STAMPS) && touch $@

$(STAMPS)/node: package-lock.json package.json | $(STAMPS)/python
	command -v npm >/dev/null || { echo "Varde needs Node 20 or newer with npm to set up its pages: apt-get install nodejs npm" >&2; exit 1; }
	[ -L node_modules ] || npm ci --no-audit --no-fund --loglevel=error
	touch $@

$(STAMPS)/fhir: $(wildcard src/varde/fhir/building/*.py src/varde/fhir/valuesets.py) $(STAMPS)/node
	$(BIN)/python -m varde.fhir.building.build
	touch $@

$(STAMPS)/web: $(wildcard src/varde/web/build.py src/varde/web/static/*.*) $(STAMPS)/node
	$(BIN)/python -m varde.web.build
	touch $@

check: setup
	$(BIN)/ruff format --check src tests bench
	$(BIN)/ruff check src tests bench
	$(BIN)/mypy
	$(BIN)/pytest -q tests/test_house.py

# The SSH server is for tests that start their own: its service is masked first, so that installing opens no port.
test: setup
	missing=; command -v chromium >/dev/null || missing=chromium; \
	[ -x /usr/sbin/sshd ] || missing="$$missing openssh-server"; \
	[ -z "$$missing" ] || { \
	  [ "$$(id -u)" = 0 ] || { echo "The tests need a browser and an SSH server: install $$missing as root" >&2; exit 1; }; \
	  [ -x /usr/sbin/sshd ] || { mkdir -p /etc/systemd/system && ln -sf /dev/null /etc/systemd/system/ssh.service; }; \
	  apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q $$missing; }
	$(BIN)/pytest -n 2 --dist loadfile

# Who may see what, asked at length (docs/proofs.md): 10,000 questions of twin worlds instead of the run of every day.
proof: setup
	VARDE_PROOF_QUESTIONS=$${VARDE_PROOF_QUESTIONS:-10000} $(BIN)/pytest -n 2 --dist loadfile tests/access tests/trust/law

# Each also starts alone, with --help. They say what they measured; the load, Varde and PostgreSQL share the machine.
bench: setup
	command -v wrk >/dev/null && command -v pgbench >/dev/null || { \
	  [ "$$(id -u)" = 0 ] || { echo "The benchmarks need wrk and pgbench: install wrk and postgresql-contrib as root" >&2; exit 1; }; \
	  apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q wrk postgresql-contrib; }
	$(BIN)/python -m bench.work
	$(BIN)/python -m bench.letters_batch --letters 10000
	$(BIN)/python -m bench.audit_log
	$(BIN)/python -m bench.smart
	$(BIN)/python -m bench.gate --requests 2000
	$(BIN)/python -m bench.bulk
	$(BIN)/python -m bench.fhir

lock: setup
	uv=$$(command -v uv || echo .uv/bin/uv); \
	"$$uv" pip compile -q --universal --generate-hashes --python-version 3.11 --group dev pyproject.toml \
	  -o requirements.lock --custom-compile-command "make lock"
