#!/usr/bin/env bash
# Make .venv hold what the project needs; a second run with the same needs returns at once.
#   tools/venv.sh           what handdata needs to run
#   tools/venv.sh dev       and what its checks need
#   tools/venv.sh docs      and what `make site` needs
#   tools/venv.sh exchange  .venv-exchange instead: the programs of tools/exchange.txt, without handdata
# HANDDATA_VENV_CACHE=DIR keeps the environment in DIR under a hash of everything that decides what gets installed,
# and links .venv to it (CI does that); otherwise .venv is a folder of the checkout.
set -euo pipefail
cd "$(dirname "$0")/.."
extra=${1:-}
python=${PYTHON:-python3}
venv=.venv
needs() { # what decides what gets installed: of pyproject.toml the tables that pip reads
  "$python" -c 'import json, tomllib
with open("pyproject.toml", "rb") as file:
    read = tomllib.load(file)
print(json.dumps([read["build-system"], read["project"]], sort_keys=True))'
  cat constraints.txt
}
[ "$extra" = exchange ] && { venv=.venv-exchange; needs() { cat tools/exchange.txt; }; }
key=$( { needs; cat tools/venv.sh; "$python" -c 'import sys; print(sys.version, sys.platform)'; pip config list 2>/dev/null || true; } | sha256sum | cut -c1-16)
if [ -n "${HANDDATA_VENV_CACHE:-}" ]; then
  home="$HANDDATA_VENV_CACHE/${venv#.}-$key"
  mkdir -p "$home"
  if [ "$(readlink $venv 2>/dev/null || true)" != "$home" ]; then rm -rf $venv; ln -s "$home" $venv; fi
else
  home="$PWD/$venv"
  [ -L $venv ] && rm $venv
fi
stamp="$venv/installed-${extra:-run}-$key"
# pip runs from $home: the programs it installs begin with the path it was called by, and .venv goes with its checkout
if [ ! -f "$stamp" ]; then
  echo "setting up $venv (${extra:-run}); .venv downloads PyTorch once" >&2
  [ -x "$home/bin/python" ] || "$python" -m venv "$home"
  if [ "$extra" = exchange ]; then
    "$home/bin/python" -m pip install --quiet --requirement tools/exchange.txt
  else
    # torch before the rest: with it in place nothing asks for another build
    "$home/bin/python" -m pip install --quiet --constraint constraints.txt torch
    "$home/bin/python" -m pip install --quiet --constraint constraints.txt --editable ".${extra:+[$extra]}"
  fi
  touch "$stamp"
elif [ -n "${HANDDATA_VENV_CACHE:-}" ] && [ "$extra" != exchange ]; then
  "$home/bin/python" -m pip install --quiet --no-deps --no-build-isolation --editable . # point it at this checkout
fi
