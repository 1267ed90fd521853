# SPDX-License-Identifier: Apache-2.0
# What the verbs need from outside: packages of Debian 12, and Python environments in the user's
# cache. Everything here looks first and does nothing where all is there, also without a network.

OS_RELEASE=${OS_RELEASE:-/etc/os-release}
# A pod sees the host's /usr and the virtual environment, so the interpreter has to be in /usr.
SYSTEM_PYTHON=${SYSTEM_PYTHON:-/usr/bin/python3}
SYSTEMD_UNITS=${SYSTEMD_UNITS:-/etc/systemd/system}

is_root() { ((EUID == 0)); }

# need_packages GROUP…: installs what tools/dev/packages.txt lists for these groups and is missing.
need_packages() {
  local missing=() package group groups=" $* "
  while read -r package group; do
    [[ $package && $package != \#* && $groups == *" $group "* ]] || continue
    [[ $(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null) == installed ]] ||
      missing+=("$package")
  done <tools/dev/packages.txt
  ((${#missing[@]})) || return 0

  local system="an unknown system" name=
  if [[ -r $OS_RELEASE ]]; then
    system=$(. "$OS_RELEASE" && echo "${PRETTY_NAME:-}")
    name=$(. "$OS_RELEASE" && echo "${ID:-}${VERSION_ID:-}")
  fi
  [[ $name == debian12 ]] || die "this is $system, and ./dev can install packages on Debian 12 only.
Needed, under Debian's names: ${missing[*]}"
  local as_root=()
  if ! is_root; then
    command -v sudo >/dev/null ||
      die "packages are missing and only root can install them. As root:
  apt-get install --no-install-recommends ${missing[*]}"
    as_root=(sudo)
  fi
  confirm "To be installed with apt-get: ${missing[*]}"
  run_shown "Reading the package lists" "${as_root[@]}" apt-get -q update ||
    die "the package lists could not be read. Is there a network? Needed: ${missing[*]}"
  # Wanted is the program; the package would also begin a service, now and at every boot.
  local unit=$SYSTEMD_UNITS/prometheus.service
  if [[ " ${missing[*]} " == *" prometheus "* && ! -e $unit && ! -L $unit ]]; then
    "${as_root[@]}" mkdir -p "$SYSTEMD_UNITS"
    "${as_root[@]}" ln -s /dev/null "$unit"
  fi
  run_shown "Installing ${#missing[@]} packages" \
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q install -y --no-install-recommends "${missing[@]}" ||
    die "apt-get could not install them (see above). Needed: ${missing[*]}"
}

# venv_python NAME: the interpreter of a virtual environment that need_venv made.
venv_python() { printf '%s\n' "$PELTON_CACHE/venvs/$1/bin/python"; }

# need_venv NAME REQUIREMENTS [BASE]: a virtual environment with exactly these requirements, at
# $PELTON_CACHE/venvs/NAME, which is a link to NAME-<hash of the requirements>. It sees the packages
# of the environment BASE too, which is there already.
need_venv() {
  local name=$1 requirements=$2 base=${3:-} python=$SYSTEM_PYTHON hash directory
  [[ -z $base ]] || base=$(readlink -f "$PELTON_CACHE/venvs/$base")
  hash=$( (cat "$requirements"; printf '%s' "${base##*/}") | sha256sum | cut -c1-12)
  directory=$PELTON_CACHE/venvs/$name-$hash
  if [[ ! -e $directory/.complete ]]; then
    [[ -x $python ]] || python=python3
    confirm "To be installed with pip in $directory: $(grep -v '^#' "$requirements" | xargs)"
    rm -rf "$directory"
    mkdir -p "$PELTON_CACHE/venvs"
    run_shown "Making the virtual environment '$name'" "$python" -m venv "$directory" ||
      die "$python could make no virtual environment. Is the package python3-venv installed?"
    if [[ $base ]]; then
      printf '%s\n' "$base"/lib/python*/site-packages >"$(echo "$directory"/lib/python*/site-packages)/base.pth"
    fi
    run_shown "Installing into '$name'" \
      "$directory/bin/pip" install --no-input --disable-pip-version-check -r "$requirements" ||
      die "pip could not install $requirements. Is there a network, or an index that pip knows?"
    "$directory/bin/python" -m compileall -q "$directory/lib" >/dev/null || true
    : >"$directory/.complete"
  fi
  ln -sfn "$name-$hash" "$PELTON_CACHE/venvs/$name"
}

need_jax() { need_venv jax examples/train-gpt/requirements.txt; }
need_api_clients() { need_venv api-clients tests/oracle/requirements.txt; }
need_s3() { need_venv s3 tests/python/s3-requirements.txt; }
need_goodput() { need_venv goodput tests/oracle/goodput-requirements.txt; }
need_kubectl() { need_venv kubectl tools/dev/kubectl-requirements.txt; }
# 5.0 GB: only what is about PyTorch asks for it.
need_torch() { need_venv torch examples/recipes/torch-requirements.txt; }
# What the benchmark of restarts runs beside us: 49 MB more, and the same PyTorch.
need_torch_peers() { need_venv torch-peers bench/torch/peers-requirements.txt torch; }

verb_setup() {
  [[ ${1:-} == "" || $1 == torch ]] || die "./dev setup knows only the addition 'torch', not '$1'."
  need_packages build run test all format bench
  need_kubectl
  need_api_clients
  need_jax
  need_s3
  if [[ ${1:-} == torch ]]; then need_torch; fi
  say "All that ./dev needs is installed."
}
