#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# How long one scheduling decision takes for a gang of 256 pods on 1,000 nodes.
#   bench/placement.sh
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
[ -f "$root/build/release/build.ninja" ] || cmake --preset release -S "$root" >/dev/null
cmake --build "$root/build/release" --target placement_bench >/dev/null
"$root/build/release/bench/placement_bench"
