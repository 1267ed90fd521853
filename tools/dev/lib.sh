# SPDX-License-Identifier: Apache-2.0
# How the parts of ./dev speak, ask and run things. Sourced, with the project's root as directory.

PELTON_CACHE=${XDG_CACHE_HOME:-$HOME/.cache}/pelton
export PELTON_CACHE

say() { printf '%s\n' "$*" >&2; }
die() { say "error: $*"; exit 1; }

# confirm TEXT: asks on a terminal; goes on with --yes or where nobody can answer.
confirm() {
  say "$1"
  if [[ -n ${PELTON_DEV_YES:-} || ! -t 0 || ! -t 2 ]]; then return; fi
  local answer
  read -r -p "Go on? [Y/n] " answer
  [[ -z $answer || $answer == [yY]* ]] || die "stopped: nothing was installed."
}

# run_shown TITLE COMMAND…: runs it with its output in a file, the last line of which is the
# progress; prints the end of that file where the command fails. Returns the command's status.
run_shown() {
  local title=$1 log started=$SECONDS status=0
  shift
  log=$(mktemp)
  "$@" >"$log" 2>&1 </dev/null &
  local pid=$!
  trap 'kill "$pid" 2>/dev/null; rm -f "$log"' EXIT
  if [[ -t 2 ]]; then
    while kill -0 "$pid" 2>/dev/null; do
      printf '\r\033[K%s (%d s) %.*s' "$title" $((SECONDS - started)) \
        $((${COLUMNS:-80} - ${#title} - 10)) "$(tail -c 300 "$log" | tr -d '\r' | tail -n 1)" >&2
      sleep 0.5
    done
    printf '\r\033[K' >&2
  fi
  wait "$pid" || status=$?
  trap - EXIT
  if ((status == 0)); then
    say "$title: done in $((SECONDS - started)) s"
  else
    say "$title: failed after $((SECONDS - started)) s (status $status). The end of its output:"
    tail -n 40 "$log" | sed 's/^/  | /' >&2
  fi
  rm -f "$log"
  return "$status"
}
