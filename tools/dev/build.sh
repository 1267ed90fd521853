# SPDX-License-Identifier: Apache-2.0
# Configuring and building a preset of CMakePresets.json.

# build_preset PRESET [TARGET…]: configures where needed and builds. Ends ./dev where it fails.
build_preset() {
  local preset=$1 status=0
  shift
  local log=build/$preset/configure.log
  mkdir -p "build/$preset"
  # Configuring again is cheap, and picks up a changed preset.
  if ! cmake --preset "$preset" >"$log" 2>&1; then
    cat "$log" >&2
    die "cmake could not configure '$preset' (see above)."
  fi
  ninja -C "build/$preset" "$@" >&2 || status=$?
  ((status == 0)) || die "'$preset' does not build (see above)."
}

verb_build() {
  local preset=${1:-release}
  need_packages build
  [[ $preset == dev ]] && need_packages test
  [[ $preset == clang || $preset == fuzz ]] && need_packages test all
  if [[ $preset == release ]]; then
    build_preset release pelton
    say "built build/release/pelton"
  else
    build_preset "$preset"
    say "built build/$preset"
  fi
}
