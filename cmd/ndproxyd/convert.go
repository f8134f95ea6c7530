// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/ndproxyd/ndproxyd/internal/config"
)

func newConvert(e env) *cobra.Command {
	var lenient bool
	cmd := &cobra.Command{
		Use:   "convert FILE",
		Short: "Print the configuration that an ndppd.conf comes to",
		Long: `Print the YAML configuration that an ndppd.conf comes to, with its comments
where they belong, and a comment for everything that is done otherwise. The
file is not changed, and needs no conversion to be used: see run --config.`,
		Example: "  ndproxyd convert /etc/ndppd.conf > /etc/ndproxyd/config.yaml",
		Args:    usageArgs(cobra.ExactArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			yaml, warnings, err := config.Convert(args[0], lenient)
			if err != nil {
				return usage(err)
			}
			for _, w := range warnings {
				_, _ = fmt.Fprintln(e.stderr, w)
			}
			_, err = fmt.Fprint(e.stdout, yaml)
			return err
		},
	}
	lenientFlag(cmd, &lenient)
	return cmd
}
