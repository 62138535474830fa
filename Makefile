PAPER = libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0 fonts-noto-cjk

environment:
	@deploy/prepare
	@deploy/frontend/copy

run: environment
	@deploy/packages $(PAPER)
	@.venv/bin/python -m dingkao.cli run

test: environment
	@deploy/packages chromium $(PAPER)
	.venv/bin/python -m pytest -q -n 3 --dist loadfile --no-loadscope-reorder tests

bench: environment
	@deploy/packages $(PAPER)
	@.venv/bin/python -m tests.load.bench

bench-full: bench
	@.venv/bin/python -m tests.load.exam --soak 30

chaos: environment
	@.venv/bin/python -m tests.load.chaos

look: environment
	@deploy/packages chromium $(PAPER)
	@.venv/bin/python -m tests.look

lint: environment
	.venv/bin/ruff check .
	.venv/bin/lint-imports
	.venv/bin/mypy

.PHONY: environment run test bench bench-full chaos look lint
