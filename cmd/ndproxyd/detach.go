// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/ndproxyd/ndproxyd/internal/fastpath"
	"github.com/ndproxyd/ndproxyd/internal/process"
)

func newDetach(e env) *cobra.Command {
	var o fastpath.DetachOptions
	cmd := &cobra.Command{
		Use:   "detach [INTERFACE...]",
		Short: "Remove what a daemon that has ended left in the kernel, so that it falls silent at once",
		Long: `Remove the programs that answer in the kernel (fast_path) and outlive the daemon: from
the named interfaces of this network namespace, or from all of them. To have silence at
once, stop the daemon and call this. It prints a line for each thing that it removes, and
nothing where there is nothing to remove; both have exit code 0.

What a daemon that runs answers with stays, and the exit code is 1.`,
		Example: "  ndproxyd detach eth0",
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.AllNamespaces && len(args) > 0 {
				return usage(errors.New("--all-namespaces frees all interfaces: leave their names out"))
			}
			o.Interfaces = args
			o.Daemon = func() (string, func(string) bool) { return answering(cmd.Context()) }
			removed, err := fastpath.Detach(o)
			for _, line := range removed {
				_, _ = fmt.Fprintln(e.stdout, "removed from", line)
			}
			switch {
			case errors.Is(err, fastpath.ErrInUse):
				return fmt.Errorf("%w; stop it first, or set fast_path: off and reload it", err)
			case errors.Is(err, os.ErrPermission):
				return &exitError{code: exitPrivilege, err: fmt.Errorf("%w: this takes root", err)}
			}
			return err
		},
	}
	cmd.Flags().StringVar(&o.Directory, "directory", fastpath.DefaultDirectory, "`DIRECTORY` in which the daemon pins")
	cmd.Flags().BoolVar(&o.AllNamespaces, "all-namespaces", false, "free all network namespaces, as the removal of the package does")
	return cmd
}

// answering returns the name of the daemon in the calling thread's network namespace, ""
// for none, and whether it answers with the program on an interface.
func answering(ctx context.Context) (name string, uses func(device string) bool) {
	name, err := process.Holder(ctx)
	if err != nil {
		name = err.Error() // so there may be one
	}
	return name, func(string) bool { return true }
}
