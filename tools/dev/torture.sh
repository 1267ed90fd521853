# SPDX-License-Identifier: Apache-2.0
# ./dev torture: a real training job, broken in every way that tests/torture/faults.py knows, until
# time is up.

verb_torture() {
  need_packages build run
  need_kubectl
  need_jax
  build_preset release pelton
  ((EUID == 0)) ||
    die "the job's pods are made of network namespaces and mounts, so it needs root: sudo ./dev torture"
  PELTON=$PWD/build/release/pelton KUBECTL=$PELTON_CACHE/venvs/kubectl/bin/kubectl \
    exec /usr/bin/python3 -B tests/torture/torture.py "$@"
}
