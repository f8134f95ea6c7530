// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"net/netip"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/ndproxyd/ndproxyd/internal/control"
)

// watchInterval is how often status --watch asks.
const watchInterval = time.Second

func newExplain(e env) *cobra.Command {
	var (
		socket string
		out    output
	)
	cmd := &cobra.Command{
		Use:     "explain ADDRESS",
		Short:   "Show whether the running daemon answers for an address, by which rule, or why not",
		Example: "  ndproxyd explain 2001:db8:1:0:f::5",
		Args:    usageArgs(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := out.check(); err != nil {
				return err
			}
			target, err := netip.ParseAddr(args[0])
			if err != nil || !target.Is6() || target.Zone() != "" {
				return usage(fmt.Errorf("%q is not an IPv6 address (example: 2001:db8:1:0:f::5)", args[0]))
			}
			answer, err := control.NewClient(socket).Explain(cmd.Context(), target)
			if err != nil {
				return err
			}
			return out.write(e.stdout, answer)
		},
	}
	controlFlag(cmd, &socket)
	out.flag(cmd)
	return cmd
}

func newStatus(e env) *cobra.Command {
	var (
		socket string
		out    output
		watch  bool
	)
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the uplinks, memberships and counters of the running daemon",
		Example: `  ndproxyd status --watch
  ndproxyd status --output json`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := out.check(); err != nil {
				return err
			}
			client := control.NewClient(socket)
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGTERM, syscall.SIGINT)
			defer stop()
			for {
				s, err := client.Status(ctx)
				if err != nil {
					return err
				}
				if err := out.write(e.stdout, s); err != nil || !watch {
					return err
				}
				select {
				case <-ctx.Done():
					return nil
				case <-time.After(watchInterval):
					if out.format == "text" {
						_, _ = fmt.Fprintln(e.stdout)
					}
				}
			}
		},
	}
	controlFlag(cmd, &socket)
	out.flag(cmd)
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "repeat every second")
	return cmd
}
