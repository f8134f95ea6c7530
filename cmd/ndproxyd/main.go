// SPDX-License-Identifier: Apache-2.0

// Command ndproxyd answers IPv6 Neighbor Solicitations for addresses that live
// behind the node.
package main

import (
	"context"
	"os"
)

func main() {
	os.Exit(execute(context.Background(), env{
		args:   os.Args[1:],
		stdout: os.Stdout,
		stderr: os.Stderr,
		getenv: os.Getenv,
	}))
}
