# SPDX-License-Identifier: Apache-2.0

verb_demo() {
  need_packages build run
  need_kubectl
  need_jax
  build_preset release pelton
  ((EUID == 0)) ||
    die "the demo makes network namespaces and mounts for its pods, so it needs root: sudo ./dev demo"
  local story=main
  if [[ ${1:-} == training ]]; then story=training; shift; fi
  exec /usr/bin/python3 -B "tools/demo/$story.py" --pelton build/release/pelton \
    --kubectl "$PELTON_CACHE/venvs/kubectl/bin/kubectl" "$@"
}
