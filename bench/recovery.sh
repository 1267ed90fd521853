#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# How long one reconcile of a RecoveryPolicy takes for jobs on 1,000, 10,000 and 65,000 nodes.
#   bench/recovery.sh [NODES…]
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
[ -f "$root/build/release/build.ninja" ] || cmake --preset release -S "$root" >/dev/null
cmake --build "$root/build/release" --target recovery_bench >/dev/null
"$root/build/release/bench/recovery_bench" "$@"
