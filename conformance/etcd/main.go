// The etcd server, as its own project builds it. A module apart: its dependencies and Kubernetes' do not agree.
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() {
	etcdmain.Main(os.Args)
}
