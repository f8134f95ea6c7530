// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// checked is what check prints about a valid configuration.
type checked struct {
	Config  string   `json:"config"`
	Uplinks []string `json:"uplinks"`
	Rules   int      `json:"rules"`
}

// WriteText implements textWriter.
func (c checked) WriteText(w io.Writer) error {
	_, err := fmt.Fprintf(w, "%s: valid, %d uplinks, %d rules\n", c.Config, len(c.Uplinks), c.Rules)
	return err
}

func newCheck(e env) *cobra.Command {
	var (
		src source
		out output
	)
	cmd := &cobra.Command{
		Use:     "check",
		Short:   "Check the configuration, and change nothing",
		Example: "  ndproxyd check --config /etc/ndproxyd/config.yaml",
		Args:    usageArgs(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			if err := src.check(); err != nil {
				return err
			}
			if err := out.check(); err != nil {
				return err
			}
			c, err := src.load()
			if err != nil {
				return err
			}
			if _, err := rules.Compile(c.Rules); err != nil {
				return usage(err)
			}
			result := checked{Config: src.origin(), Rules: len(c.Rules)}
			for _, u := range c.Uplinks {
				result.Uplinks = append(result.Uplinks, u.Interface)
			}
			return out.write(e.stdout, result)
		},
	}
	src.flags(cmd)
	out.flag(cmd)
	return cmd
}
