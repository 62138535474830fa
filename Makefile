environment:
	@deploy/prepare

test: environment
	.venv/bin/python -m pytest -q tests

lint: environment
	.venv/bin/ruff check .

.PHONY: environment test lint
