// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/ndproxyd/ndproxyd/internal/demo"
)

func newDemo(e env) *cobra.Command {
	return &cobra.Command{
		Use:   "demo",
		Short: "Demonstrate the daemon on a private network",
		Long: `Build a router, a node and a pod in private network namespaces, show a ping
that fails, start the daemon, and show the ping that works. The host's network
is not touched, and nothing is left when the program ends.`,
		Example: "  sudo ndproxyd demo",
		Args:    usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGTERM, syscall.SIGINT)
			defer stop()
			path, err := os.Executable()
			if err != nil {
				return fmt.Errorf("find this program: %w", err)
			}
			err = demo.Run(ctx, path, e.stdout)
			if ctx.Err() != nil {
				return errors.New("interrupted; nothing is left of the demonstration")
			}
			if errors.Is(err, os.ErrPermission) {
				return &exitError{code: exitPrivilege, err: fmt.Errorf("%w\nThe demonstration builds network namespaces, which takes root (CAP_SYS_ADMIN and CAP_NET_ADMIN): run it with sudo", err)}
			}
			return err
		},
	}
}
