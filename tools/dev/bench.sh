# SPDX-License-Identifier: Apache-2.0
# Each bench/NAME.sh or bench/NAME.py is one command that prints its table. What stands behind NAME
# goes to it: ./dev bench goodput --minutes 2.

verb_bench() {
  source tools/dev/oracle.sh
  local only=${1:-} script ran=0
  shift $(($# > 0 ? 1 : 0))
  need_packages build run bench
  need_jax
  need_s3
  need_kubectl
  export KUBECTL=$PELTON_CACHE/venvs/kubectl/bin/kubectl
  build_preset release pelton
  for script in bench/*.sh bench/*.py; do
    [[ -e $script && $script == *"$only"* ]] || continue
    ran=$((ran + 1))
    say "== $script"
    # It says itself that it is skipped where its peer cannot be built.
    if [[ $script == bench/api.py ]]; then need_oracle || true; fi
    case $script in
      bench/restart-torch.py | bench/goodput.py | bench/checkpoint-peers.py) need_torch ;;
    esac
    if [[ $script == bench/restart-torch.py ]]; then need_torch_peers; fi
    if [[ $script == *.py ]]; then /usr/bin/python3 -B "$script" "$@"; else bash "$script" "$@"; fi
  done
  ((ran > 0)) || die "there is no benchmark${only:+ whose name contains '$only'} below bench/."
}
