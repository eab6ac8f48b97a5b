# For developers. Users need none of it: python3 manage.py up

PYTHON ?= python3

.PHONY: up test check format bench

up:
	$(PYTHON) manage.py up

# Everything: the suite, and in it lint, types, contracts, migrations and the page's checks.
test:
	$(PYTHON) manage.py test

# What the tools say, without the suite.
check:
	$(PYTHON) manage.py test tests/quality

format:
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

bench:
	.venv/bin/python -m bench.turn_latency
	.venv/bin/python -m bench.frames
	.venv/bin/python -m bench.detector
