#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Two processes with one seed must agree on every write, message and timer: that is what makes a
# failure replayable. Two seeds must not.
set -euo pipefail
pelton=$1
run() { "$pelton" sim "$1" --seed "$2" --seeds "${3:-1}" -o json; }

for scenario in scenarios/calm.yaml scenarios/hostile.yaml; do
  first=$(run "$scenario" 5)
  second=$(run "$scenario" 5)
  if [[ $first != "$second" ]]; then
    printf '%s with seed 5 had two histories:\n%s\n%s\n' "$scenario" "$first" "$second"
    exit 1
  fi
done
traces=$(run scenarios/calm.yaml 1 3 | grep -oE '"trace[A-Za-z]*":"?[0-9a-f]+' | sort -u | wc -l)
[[ $traces == 3 ]] || { echo "3 seeds of calm.yaml have $traces traces"; exit 1; }
