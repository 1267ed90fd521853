# SPDX-License-Identifier: Apache-2.0

verb_clean() {
  rm -rf build
  find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +
  say "removed build/"
  [[ ${1:-} == --all ]] || return 0
  rm -rf "$PELTON_CACHE" /var/tmp/pelton
  say "removed $PELTON_CACHE and /var/tmp/pelton. Packages of the system stay."
}
