#!/usr/bin/env bash
# Every check CI runs, in order: format, lint, types, import contract, tests. `-m ""` runs the thorough tests too.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/.venv/bin:$PATH" OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}" MPLBACKEND=Agg
ruff format --check .
ruff check .
mypy
lint-imports
pytest -n "${TEST_WORKERS:-2}" --dist worksteal -m "not thorough" "$@"
