# SPDX-License-Identifier: Apache-2.0
# ./dev torture: a real training job, broken in every way that tests/torture/faults.py knows, until
# time is up. ./dev torture kill-points [COUNT]: the writer of checkpoints on a simulated machine, ended
# at that many points, 10,000 by default.

torture_kill_points() {
  local count=${1:-10000}
  [[ $count =~ ^[0-9]+$ ]] && ((count >= 20)) || die "kill-points: COUNT must be a number from 20, not '$count'."
  need_packages build test
  build_preset dev checkpoint_test
  build/dev/src/checkpoint_test --gtest_filter='KillPointsTest.*' --gtest_random_seed=$((count / 20))
}

verb_torture() {
  if [[ ${1:-} == kill-points ]]; then
    torture_kill_points "${@:2}"
    return
  fi
  need_packages build run
  need_kubectl
  need_jax
  build_preset release pelton
  ((EUID == 0)) ||
    die "the job's pods are made of network namespaces and mounts, so it needs root: sudo ./dev torture"
  PELTON=$PWD/build/release/pelton KUBECTL=$PELTON_CACHE/venvs/kubectl/bin/kubectl \
    exec /usr/bin/python3 -B tests/torture/torture.py "$@"
}
