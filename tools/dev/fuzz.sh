# SPDX-License-Identifier: Apache-2.0
# Each src/FOLDER/x_fuzz.cc is a libFuzzer program. What it finds is kept in build/fuzz/corpus.

# fuzz_one SECONDS SOURCE: runs the built fuzzer of a source; appends what came of it to the report.
fuzz_one() {
  local seconds=$1 source=$2 name program seeds=() outcome=failed
  name=$(basename "$source" .cc)
  mkdir -p "build/fuzz/corpus/$name"
  [[ -d ${source%.cc}_seeds ]] && seeds=("${source%.cc}_seeds")
  program=$(find build/fuzz -type f -name "$name" | head -n 1)
  if run_shown "Fuzzing $name for $seconds s" "$program" \
    -seed="${PELTON_FUZZ_SEED:-0}" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
    -artifact_prefix="build/fuzz/corpus/$name-" "build/fuzz/corpus/$name" "${seeds[@]}"; then
    outcome=passed
  fi
  echo "$outcome fuzz.$name" >>"$PELTON_FUZZ_REPORT"
}

# fuzz_each SECONDS [NAME]: runs the built fuzzers, one per core at a time; returns 1 where one of
# them found something. Leaves a line "passed|failed fuzz.NAME" for each in $PELTON_FUZZ_REPORT.
fuzz_each() {
  local seconds=$1 only=${2:-} source ran=0 report=${PELTON_FUZZ_REPORT:-}
  [[ $report ]] || report=$(mktemp)
  while read -r source; do
    [[ -z $only || $(basename "$source" .cc) == *"$only"* ]] || continue
    ran=$((ran + 1))
    while (($(jobs -pr | wc -l) >= $(nproc))); do wait -n || true; done
    # No terminal: two lines of progress would overwrite each other.
    PELTON_FUZZ_REPORT=$report fuzz_one "$seconds" "$source" 2> >(cat >&2) &
  done < <(find src -name '*_fuzz.cc' | sort)
  wait
  ((ran > 0)) || die "there is no fuzzer${only:+ whose name contains '$only'}."
  (($(grep -c '^passed ' "$report") == ran))
}

verb_fuzz() {
  local name= seconds=60 argument
  for argument in "$@"; do
    if [[ $argument =~ ^[0-9]+$ ]]; then seconds=$argument; else name=$argument; fi
  done
  need_packages build test all
  build_preset fuzz fuzzers
  fuzz_each "$seconds" "$name" ||
    die "some fuzzer found an input: build/fuzz/corpus/NAME-…. To replay, run it with that file."
}
