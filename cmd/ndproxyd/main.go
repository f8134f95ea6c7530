// SPDX-License-Identifier: Apache-2.0

// Command ndproxyd answers IPv6 Neighbor Solicitations for addresses that live
// behind the node.
package main

import (
	"context"
	"os"
	"runtime"
)

func main() {
	// A scrape must not hold up an answer, also where one processor is all.
	runtime.GOMAXPROCS(max(2, runtime.GOMAXPROCS(0)))
	os.Exit(execute(context.Background(), env{
		program: os.Args[0],
		args:    os.Args[1:],
		stdout:  os.Stdout,
		stderr:  os.Stderr,
		getenv:  os.Getenv,
	}))
}
