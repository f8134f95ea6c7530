// SPDX-License-Identifier: Apache-2.0

// Command ndproxyd answers IPv6 Neighbor Solicitations for addresses that live
// behind the node.
package main

import (
	"context"
	"os"
	"runtime"
	"runtime/debug"
)

// gcPercent is how much garbage may come to what lives, where GOGC says nothing.
const gcPercent = 30

func main() {
	// A scrape must not hold up an answer, also where one processor is all.
	runtime.GOMAXPROCS(max(2, runtime.GOMAXPROCS(0)))
	// What lives long is the table; to answer makes no garbage. So it costs
	// little to collect often, and keeps a daemon with many routes small.
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	os.Exit(execute(context.Background(), env{
		program: os.Args[0],
		args:    os.Args[1:],
		stdout:  os.Stdout,
		stderr:  os.Stderr,
		getenv:  os.Getenv,
	}))
}
