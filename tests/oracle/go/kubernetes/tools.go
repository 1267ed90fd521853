//go:build tools

// SPDX-License-Identifier: Apache-2.0

// Package tools names the commands that are built as they are, so that `go mod tidy` keeps their
// modules.
package tools

import (
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
)
