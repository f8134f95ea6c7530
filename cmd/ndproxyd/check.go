// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ndproxyd/ndproxyd/internal/cluster"
	"github.com/ndproxyd/ndproxyd/internal/inspect"
	"github.com/ndproxyd/ndproxyd/internal/uplink"
)

// checked is what check prints about a valid configuration.
type checked struct {
	Config   string   `json:"config"`
	Warnings []string `json:"warnings,omitempty"`
	inspect.Inspection
}

// WriteText implements textWriter.
func (c checked) WriteText(w io.Writer) error {
	var b strings.Builder
	for _, warning := range c.Warnings {
		fmt.Fprintln(&b, warning)
	}
	fmt.Fprintf(&b, "%s: valid, %s\n", c.Config, c.Summary())
	if err := c.Inspection.WriteText(&b); err != nil {
		return err
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func newCheck(e env) *cobra.Command {
	var (
		src = configFlags{getenv: e.getenv}
		out output
	)
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check the configuration and the host, and change nothing",
		Long: `Check the configuration, and look for settings of this host that would make answers
useless. Each finding has the problem, its effect and the remedy. Nothing is
changed. Findings do not change the exit code; a wrong configuration does.`,
		Example: `  ndproxyd check
  ndproxyd check --config /etc/ndproxyd/config.yaml --output json`,
		Args: usageArgs(cobra.NoArgs),
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
			if _, err := cluster.Connect(c, ""); err != nil {
				return usage(err)
			}
			found, err := inspect.Host(c, uplink.Judge)
			if err != nil {
				return err
			}
			result := checked{Config: src.origin(), Warnings: c.Warnings, Inspection: found}
			var uplinks []string
			for _, u := range found.Uplinks {
				uplinks = append(uplinks, u.Interface)
			}
			for _, stray := range c.StrayUplinks(uplinks) {
				result.Warnings = append(result.Warnings, stray.Error())
			}
			return out.write(e.stdout, result)
		},
	}
	src.flags(cmd)
	out.flag(cmd)
	return cmd
}
