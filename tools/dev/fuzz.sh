# SPDX-License-Identifier: Apache-2.0
# Each src/FOLDER/x_fuzz.cc is a libFuzzer program. What it finds is kept in build/fuzz/corpus.

# fuzz_each SECONDS [NAME]: runs the built fuzzers; returns how many of them found something.
fuzz_each() {
  local seconds=$1 only=${2:-} source name found=0 ran=0
  while read -r source; do
    name=$(basename "$source" .cc)
    [[ -z $only || $name == *"$only"* ]] || continue
    mkdir -p "build/fuzz/corpus/$name"
    local seeds=()
    [[ -d ${source%.cc}_seeds ]] && seeds=("${source%.cc}_seeds")
    ran=$((ran + 1))
    local program
    program=$(find build/fuzz -type f -name "$name" | head -n 1)
    if run_shown "Fuzzing $name for $seconds s" "$program" \
      -seed="${PELTON_FUZZ_SEED:-0}" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -print_final_stats=1 \
      -artifact_prefix="build/fuzz/corpus/$name-" "build/fuzz/corpus/$name" "${seeds[@]}"; then
      echo "passed fuzz.$name" >>"${PELTON_FUZZ_REPORT:-/dev/null}"
    else
      echo "failed fuzz.$name" >>"${PELTON_FUZZ_REPORT:-/dev/null}"
      found=$((found + 1))
    fi
  done < <(find src -name '*_fuzz.cc' | sort)
  ((ran > 0)) || die "there is no fuzzer${only:+ whose name contains '$only'}."
  return "$found"
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
