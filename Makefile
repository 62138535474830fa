environment:
	@deploy/prepare
	@deploy/frontend/copy

test: environment
	.venv/bin/python -m pytest -q tests

lint: environment
	.venv/bin/ruff check .

run: environment
	.venv/bin/python -m dingkao.cli run

.PHONY: environment test lint run
