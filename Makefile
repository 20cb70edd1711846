.PHONY: demo test docs clean

demo: ## render hands, convert, train, evaluate, report
	tools/venv.sh
	.venv/bin/handdata demo

test: ## format, lint, types, import contract, tests
	tools/venv.sh dev
	tools/check.sh

docs: ## write the generated pages under docs/ again
	tools/venv.sh dev
	.venv/bin/python tools/make_docs.py

clean:
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
