# SPDX-License-Identifier: Apache-2.0
# ./dev test: builds, runs, and ends with what was skipped and one line of counts. Each part leaves
# its results below build/reports, and report.py adds them up.

REPORTS=$PWD/build/reports

# run_ctest PRESET [ctest arguments…]: runs the tests of a built preset into build/reports/PRESET.
run_ctest() {
  local preset=$1 status=0
  shift
  mkdir -p "$REPORTS/$preset"
  GTEST_OUTPUT=xml:$REPORTS/$preset/ KUBECTL=$PELTON_CACHE/venvs/kubectl/bin/kubectl \
    ctest --test-dir "build/$preset" --no-tests=ignore --progress -j "$(nproc)" \
    --output-on-failure --output-junit "$REPORTS/$preset.ctest.xml" \
    --test-output-size-passed 1000000 --test-output-size-failed 1000000 "$@" >&2 || status=$?
  return "$status"
}

# note PASSED|FAILED|SKIPPED NAME [WHY]: the result of a check that is no ctest test.
note() { printf '%s\t%s\t%s\n' "$1" "$2" "${3:-}" >>"$REPORTS/notes.tsv"; }

# Tests whose own name, or one of whose GoogleTest cases, contains NAME.
run_named() {
  local name=$1 named
  named=$(ctest --test-dir build/dev -N -R "$name")
  if [[ $named != *"Total Tests: 0"* ]]; then
    run_ctest dev -R "$name" || true
  else
    GTEST_FILTER="*$name*" run_ctest dev -R '^unit[.]' -E '^unit[.](dev|demo)' || true
  fi
}

# All that a machine without hurry checks: another compiler, hostile input, and the whole story.
run_all_else() {
  build_preset clang
  run_ctest clang -L unit || true

  build_preset fuzz fuzzers
  local fuzzed=$REPORTS/fuzz.txt
  : >"$fuzzed"
  # One seed: what it tries is the same for everybody. ./dev fuzz goes on from random ones.
  PELTON_FUZZ_SEED=1 PELTON_FUZZ_REPORT=$fuzzed fuzz_each 60 || true
  while read -r outcome name; do
    note "$outcome" "$name" "see ./dev fuzz ${name#fuzz.}"
  done <"$fuzzed"

  build_preset release pelton
  if run_shown "Running 100 seeds of scenarios/wide.yaml" hundred_seeds scenarios/wide.yaml; then
    note passed sim.wide.hundred
  else
    note failed sim.wide.hundred "run ./dev swarm, or build/release/pelton sim as shown above"
  fi
  # Each is compiled into a copy of build/release; the scenarios have to find every one.
  if run_shown "Planting bugs for the simulation to find" /usr/bin/python3 -B tests/planted/run.py; then
    note passed sim.planted
  else
    note failed sim.planted "run tests/planted/run.py"
  fi
  # A bug that a unit test finds says nothing about the simulation.
  if run_shown "Asking the unit tests about the same bugs" /usr/bin/python3 -B tests/planted/run.py --unit; then
    note passed unit.planted
  else
    note failed unit.planted "a unit test finds a planted bug: plant a subtler one; tests/planted/run.py --unit"
  fi

  if clang-format-19 --version >/dev/null 2>&1 && ! (verb_format --check) >/dev/null 2>&1; then
    note failed format "run ./dev format"
  else
    note passed format
  fi

  # What a user sees first.
  local part words
  for part in demo "demo training"; do
    read -ra words <<<"$part"
    if ((EUID != 0)); then
      note skipped "$part" "pods need root"
    elif ./dev "${words[@]}" --yes; then
      note passed "$part"
    else
      note failed "$part" "see the output of ./dev $part above"
    fi
  done
}

verb_test() {
  local all= name= allowed=()
  while (($#)); do
    case $1 in
      --all) all=yes ;;
      -k) name=${2:?-k needs a NAME}; shift ;;
      --allowed-skips) allowed=(--allowed-skips "${2:?}"); shift ;;
      *) die "./dev test knows --all and -k NAME, not '$1'." ;;
    esac
    shift
  done
  source tools/dev/fuzz.sh
  source tools/dev/format.sh
  source tools/dev/oracle.sh
  source tools/dev/swarm.sh
  need_packages build run test ${all:+all format}
  need_kubectl
  need_api_clients
  need_jax
  need_s3
  if [[ $all ]]; then need_torch; fi
  rm -rf "$REPORTS"
  mkdir -p "$REPORTS"

  build_preset dev
  if [[ $name ]]; then
    run_named "$name"
  elif [[ $all ]]; then
    # Tests of the real API server say themselves that they are skipped where it is not there.
    need_oracle || true
    need_goodput
    run_ctest dev || true
    run_all_else
  else
    run_ctest dev -LE slow || true
  fi
  /usr/bin/python3 tools/dev/report.py "$REPORTS" "${allowed[@]}"
}
