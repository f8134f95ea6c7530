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
		Short: "Print an ndppd.conf as YAML",
		Long: `Print an ndppd.conf as a YAML configuration, with its comments where they belong,
and a comment wherever ndproxyd behaves differently from ndppd. The file is not
changed. It can also be used without conversion: see run --config.`,
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
