READABLE = characters=38 long_lines_outside_tables=0 complexity=2.8 complex_functions=1.5 vague_names=8 tests.vague_names=8 \
	shared_names=0 tests.shared_names=0 templates.long_lines=0
PAPER = libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0 fonts-noto-cjk

environment:
	@deploy/prepare
	@deploy/frontend/copy

development: environment
	@deploy/prepare --dev

run: environment
	@deploy/packages $(PAPER)
	@deploy/python -m dingkao.cli run --with-parent

test: development
	@deploy/packages chromium-headless-shell || deploy/packages chromium
	@deploy/packages pgbouncer $(PAPER)
	@.venv/bin/python -m compileall -q -j 0 dingkao migrations
	env -u PYTHONDONTWRITEBYTECODE .venv/bin/python -m pytest -q -rfE --rerun-show-tracebacks -n 3 --dist loadfile --no-loadscope-reorder tests

bench: development
	@deploy/packages $(PAPER)
	@.venv/bin/python -m tests.load.bench

bench-full: bench
	@.venv/bin/python -m tests.load.exam --soak 30
	@.venv/bin/python -m tests.load.exposure
	@.venv/bin/python -m tests.load.sign_in_rush
	@.venv/bin/python -m tests.load.province --doctors 70000
	@.venv/bin/python -m tests.load.plans
	@.venv/bin/python -m tests.load.banks
	@.venv/bin/python -m tests.load.exports
	@.venv/bin/python -m tests.load.journal

chaos: development
	@deploy/packages chromium-headless-shell || deploy/packages chromium
	@deploy/packages $(PAPER)
	@.venv/bin/python -m tests.load.chaos
	@.venv/bin/python -m tests.load.process_kills
	@.venv/bin/python -m tests.load.malicious_file_bounds
	@.venv/bin/python -m tests.load.rewriting
	@DINGKAO_DEEP=200 .venv/bin/python -m pytest -q -n 2 --dist loadfile -m hypothesis tests

look: development
	@deploy/packages chromium-headless-shell || deploy/packages chromium
	@deploy/packages $(PAPER)
	@.venv/bin/python -m tests.visual

mutants: development
	@deploy/packages $(PAPER)
	@.venv/bin/python -m tests.mutants

metrics: development
	@.venv/bin/python -m tests.metrics

lint: development
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/lint-imports
	.venv/bin/mypy
	@.venv/bin/python -m tests.metrics --check $(READABLE)

.PHONY: environment development run test bench bench-full chaos look mutants metrics lint
