environment:
	@deploy/prepare
	@deploy/frontend/copy

run: environment
	@.venv/bin/python -m dingkao.cli run

test: environment
	@deploy/packages chromium fonts-noto-cjk
	.venv/bin/python -m pytest -q tests

lint: environment
	.venv/bin/ruff check .
	.venv/bin/lint-imports
	.venv/bin/mypy

.PHONY: environment run test lint
