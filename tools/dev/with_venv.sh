#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# with_venv.sh NAME SCRIPT…: runs a Python script in the virtual environment NAME of ./dev setup.
# Status 77, which ctest counts as skipped, where there is none.
set -euo pipefail
python=${PELTON_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/pelton}/venvs/$1/bin/python
if [[ ! -x $python ]]; then
  only=$([[ $1 != torch ]] || echo " torch")
  echo "SKIPPED: there is no virtual environment '$1': run ./dev setup$only"
  exit 77
fi
shift
exec "$python" "$@"
