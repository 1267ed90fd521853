# SPDX-License-Identifier: Apache-2.0
# Random seeds over all scenarios, one process per core, until time is up or somebody fails.

# swarm_worker NUMBER END DIRECTORY: runs seeds until the time END (seconds since 1970).
swarm_worker() {
  local number=$1 end=$2 directory=$3 scenarios=(scenarios/*.yaml) round=0 scenario seed left
  while (($(date +%s) < end)); do
    scenario=${scenarios[(number + round) % ${#scenarios[@]}]}
    round=$((round + 1))
    # Below 2^31, from the kernel: no two swarms are alike.
    seed=$(($(od -An -N4 -tu4 /dev/urandom) / 2))
    left=$((end - $(date +%s) + 120))
    if timeout "$left" build/release/pelton sim "$scenario" --seed "$seed" \
      >"$directory/$number.out" 2>&1; then
      echo "$scenario $seed" >>"$directory/passed"
      continue
    fi
    {
      echo "FAILED $scenario with seed $seed:"
      grep -v '^    ' "$directory/$number.out" | tail -n 20 | sed 's/^/  /'
      echo "  replay: build/release/pelton sim $scenario --seed $seed"
    } >"$directory/$number.report"
    cat "$directory/$number.report" >&2
    echo "$scenario $seed" >>"$directory/failed"
  done
}

# count_lines FILE: how many it has; 0 where it is absent.
count_lines() { if [[ -f $1 ]]; then wc -l <"$1"; else echo 0; fi; }

# swarm_for SECONDS: fails where a seed did.
swarm_for() {
  local seconds=$1 directory end number workers=() passed failed
  directory=$(mktemp -d)
  end=$(($(date +%s) + seconds))
  trap 'kill "${workers[@]}" 2>/dev/null; rm -rf "$directory"' EXIT
  for ((number = 0; number < $(nproc); number++)); do
    swarm_worker "$number" "$end" "$directory" &
    workers+=($!)
  done
  while (($(date +%s) < end)); do
    sleep 10
    say "$(count_lines "$directory/passed") seeds passed, $(count_lines "$directory/failed")" \
      "failed, $((end - $(date +%s))) s left"
  done
  wait "${workers[@]}" || true
  passed=$(count_lines "$directory/passed")
  failed=$(count_lines "$directory/failed")
  while read -r scenario seed; do
    say "failed; replay: build/release/pelton sim $scenario --seed $seed"
  done < <(cat "$directory/failed" 2>/dev/null)
  trap - EXIT
  rm -rf "$directory"
  say "swarm: $passed seeds passed, $failed failed"
  ((failed == 0 && passed > 0))
}

# hundred_seeds SCENARIO: seeds 1 to 100 of it, dealt out over the cores; fails where one does.
hundred_seeds() {
  local scenario=$1
  seq 1 4 100 | xargs -P "$(nproc)" -I FIRST build/release/pelton sim "$scenario" --seed FIRST --seeds 4
}

verb_swarm() {
  local minutes=5
  while (($#)); do
    case $1 in
      --minutes) minutes=${2:?--minutes needs a number}; shift ;;
      *) die "./dev swarm knows --minutes N, not '$1'." ;;
    esac
    shift
  done
  [[ $minutes =~ ^[0-9]+$ && $minutes -gt 0 ]] || die "--minutes must be a positive number."
  need_packages build
  build_preset release pelton
  swarm_for $((minutes * 60)) || die "some seeds failed: see above for how to replay each."
}
