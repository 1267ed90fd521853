// SPDX-License-Identifier: Apache-2.0

// The store of the real API server: etcd as its makers start it.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
