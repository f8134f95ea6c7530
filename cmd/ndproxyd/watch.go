// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/ndproxyd/ndproxyd/internal/control"
	"github.com/ndproxyd/ndproxyd/internal/status"
	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

func newWatch(e env) *cobra.Command {
	var (
		socket, prefix string
		filter         status.WatchFilter
		out            output
	)
	cmd := &cobra.Command{
		Use:   "watch",
		Short: "Show solicitations as they arrive, each with its outcome",
		Example: `  ndproxyd watch --prefix 2001:db8:1:0:f::/80
  ndproxyd watch --reason no_route --output json`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := out.check(); err != nil {
				return err
			}
			if prefix != "" {
				p, err := rules.ParsePrefix(prefix)
				if err != nil {
					return usage(fmt.Errorf("--prefix: %w", err))
				}
				filter.Prefix = p
			}
			if names := reasonNames(); filter.Reason != "" && !slices.Contains(names, filter.Reason) {
				return usage(fmt.Errorf("--reason %q is not one of %s", filter.Reason, strings.Join(names, ", ")))
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), syscall.SIGTERM, syscall.SIGINT)
			defer stop()
			return control.NewClient(socket).Watch(ctx, filter, func(ev status.WatchEvent) error {
				return out.line(e.stdout, ev)
			})
		},
	}
	controlFlag(cmd, &socket)
	out.flag(cmd)
	cmd.Flags().StringVar(&prefix, "prefix", "", "only targets in this `PREFIX`")
	cmd.Flags().StringVar(&filter.Reason, "reason", "", "only solicitations with this `REASON`, such as answered or no_route")
	cmd.Flags().StringVar(&filter.Interface, "interface", "", "only solicitations on the uplink of this `NAME`")
	return cmd
}

func reasonNames() []string {
	var names []string
	for _, r := range ndp.Reasons() {
		names = append(names, r.String())
	}
	return names
}
