# SPDX-License-Identifier: Apache-2.0
# The oracle: kube-apiserver and etcd, built from their Go modules into the user's cache. What our
# API server answers is compared with what these answer.

ORACLE_KUBERNETES=1.36.3
ORACLE_ETCD=3.7.3
# The modules that live inside the Kubernetes repository, and so are not resolved by its own go.mod.
ORACLE_STAGING="api apiextensions-apiserver apimachinery apiserver cli-runtime client-go cloud-provider
  cluster-bootstrap code-generator component-base component-helpers controller-manager cri-api cri-client
  cri-streaming csi-translation-lib dynamic-resource-allocation endpointslice externaljwt kms
  kube-aggregator kube-controller-manager kube-proxy kube-scheduler kubectl kubelet metrics mount-utils
  pod-security-admission sample-apiserver sample-cli-plugin sample-controller streaming"

# oracle_missing: prints why the oracle cannot be built here; nothing where it can.
oracle_missing() {
  local version
  version=$(go env GOVERSION 2>/dev/null) || { echo "there is no Go (1.26 or newer)"; return; }
  [[ $(printf '%s\n' go1.26 "$version" | sort -V | head -n 1) == go1.26 ]] ||
    echo "this is $version, and kube-apiserver $ORACLE_KUBERNETES needs Go 1.26"
}

# The kubernetes module's go.mod: one version for all that is released together.
oracle_write_modules() {
  local work=$1 module staging=${ORACLE_KUBERNETES#1.}
  mkdir -p "$work"
  cp -r tests/oracle/go/. "$work"
  {
    printf 'module oracle.pelton.dev/kubernetes\n\ngo 1.26.0\n\n'
    printf 'require (\n\tk8s.io/kubernetes v%s\n' "$ORACLE_KUBERNETES"
    for module in api apimachinery client-go; do printf '\tk8s.io/%s v0.%s\n' "$module" "$staging"; done
    printf ')\n\nreplace (\n'
    for module in $ORACLE_STAGING; do
      printf '\tk8s.io/%s => k8s.io/%s v0.%s\n' "$module" "$module" "$staging"
    done
    printf ')\n'
  } >"$work/kubernetes/go.mod"
  printf 'module oracle.pelton.dev/etcd\n\ngo 1.26.0\n\nrequire go.etcd.io/etcd/server/v3 v%s\n' \
    "$ORACLE_ETCD" >"$work/etcd/go.mod"
}

# Run with the environment of need_oracle. Builds all programs below WORK into BIN.
oracle_build() {
  local work=$1 bin=$2 name=k8s.io/component-base/version
  mkdir -p "$bin"
  (cd "$work/etcd" && go mod tidy && go build -o "$bin/etcd" .) || return
  (
    cd "$work/kubernetes" && go mod tidy &&
      go build -o "$bin/" -ldflags "-X $name.gitVersion=v$ORACLE_KUBERNETES -X $name.gitMajor=1 \
        -X $name.gitMinor=$(cut -d. -f2 <<<"$ORACLE_KUBERNETES")" \
        k8s.io/kubernetes/cmd/kube-apiserver $(go list -f '{{if eq .Name "main"}}{{.ImportPath}}{{end}}' ./...)
  )
}

# need_oracle: leaves kube-apiserver, etcd and our Go clients in $PELTON_CACHE/oracle/bin, a link to
# what was built from exactly these sources. Eleven minutes of CPU the first time. Returns 1 with a
# message where it cannot be built.
need_oracle() {
  local hash directory root=$PELTON_CACHE/oracle why
  hash=$(cat tools/dev/oracle.sh $(find tests/oracle/go -type f | sort) | sha256sum | cut -c1-12)
  directory=$root/bin-$hash
  if [[ ! -e $directory/.complete ]]; then
    why=$(oracle_missing)
    [[ -z $why ]] || { say "no oracle: $why"; return 1; }
    confirm "To be built from Go modules in $root: kube-apiserver $ORACLE_KUBERNETES, etcd $ORACLE_ETCD"
    oracle_write_modules "$root/work"
    # Its own caches: a later build of the same versions only links, and clean --all removes them.
    GOCACHE=$root/go-build GOMODCACHE=$root/modules GOFLAGS="-mod=mod -modcacherw" \
      run_shown "Building kube-apiserver and etcd" oracle_build "$root/work" "$directory" ||
      return 1
    rm -rf "$root/work"
    : >"$directory/.complete"
  fi
  ln -sfn "bin-$hash" "$root/bin"
}
