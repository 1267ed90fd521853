#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Small durable writes: our log against SQLite, in one run on one disk (docs/adr/0001-store.md).
#   bench/store.sh [DIRECTORY on the disk to measure] [WRITES per row]
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
if [ ! -f /usr/include/sqlite3.h ]; then echo "skipped: needs SQLite's header (apt-get install libsqlite3-dev)"; exit 0; fi
[ -f "$root/build/release/build.ninja" ] || cmake --preset release -S "$root" >/dev/null
cmake --build "$root/build/release" --target store_bench >/dev/null
directory=${1:-$(mktemp -d "$root/build/store_bench.XXXXXX")}
"$root/build/release/bench/store_bench" "$directory" "${2:-8000}"
[ $# -ge 1 ] || rm -rf "$directory"
