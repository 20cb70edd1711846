#!/usr/bin/env bash
# Make .venv hold what the project needs; a second run with the same needs returns at once.
#   tools/venv.sh           what handdata needs to run
#   tools/venv.sh dev       and what its checks need
# HANDDATA_VENV_CACHE=DIR keeps the environment in DIR under a hash of everything that decides what gets installed,
# and links .venv to it (CI does that); otherwise .venv is a folder of the checkout.
set -euo pipefail
cd "$(dirname "$0")/.."
extra=${1:-}
python=${PYTHON:-python3}
key=$( { cat pyproject.toml constraints.txt tools/venv.sh; "$python" -c 'import sys; print(sys.version, sys.platform)'; pip config list 2>/dev/null || true; } | sha256sum | cut -c1-16)
if [ -n "${HANDDATA_VENV_CACHE:-}" ]; then
  home="$HANDDATA_VENV_CACHE/venv-$key"
  mkdir -p "$home"
  if [ "$(readlink .venv 2>/dev/null || true)" != "$home" ]; then rm -rf .venv; ln -s "$home" .venv; fi
else
  home="$PWD/.venv"
  [ -L .venv ] && rm .venv
fi
stamp=".venv/installed-${extra:-run}-$key"
if [ ! -f "$stamp" ]; then
  echo "setting up .venv (${extra:-run}); this downloads PyTorch once" >&2
  [ -x "$home/bin/python" ] || "$python" -m venv "$home"
  # torch before the rest: with it in place nothing asks for another build
  .venv/bin/python -m pip install --quiet --constraint constraints.txt torch
  .venv/bin/python -m pip install --quiet --constraint constraints.txt --editable ".${extra:+[$extra]}"
  touch "$stamp"
elif [ -n "${HANDDATA_VENV_CACHE:-}" ]; then
  .venv/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable . # point it at this checkout
fi
