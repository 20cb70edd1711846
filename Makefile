.PHONY: demo test test-all docs site clean

demo: ## render hands, convert, train, evaluate, report
	tools/venv.sh
	.venv/bin/handdata demo

test: ## format, lint, types, import contract, tests
	tools/venv.sh dev
	tools/venv.sh exchange || echo "no .venv-exchange: tests that need it skip" >&2
	tools/check.sh

test-all: ## the same with the thorough tests, which take ten minutes more
	tools/venv.sh dev
	tools/venv.sh exchange || echo "no .venv-exchange: tests that need it skip" >&2
	HANDDATA_SEEDS=100 tools/check.sh -m ""

docs: ## write the generated pages under docs/ again
	tools/venv.sh dev
	.venv/bin/python tools/make_docs.py

site: ## the documentation as pages: site/index.html
	tools/venv.sh docs
	NO_MKDOCS_2_WARNING=1 .venv/bin/mkdocs build --strict --quiet

clean:
	rm -rf .venv .venv-exchange site build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
