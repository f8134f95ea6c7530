// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ndproxyd/ndproxyd/internal/daemon"
)

// noRules says what it means that there are none. It is no finding: what there is
// of the configuration is right.
const noRules = `
no rule holds, so ndproxyd answers for nothing. Write rules into the file, or name
them with --rule; rules that are left out are found by the global addresses of
the uplinks, and there are none of these now.
`

// checked is what check prints about a valid configuration.
type checked struct {
	Config   string   `json:"config"`
	Warnings []string `json:"warnings,omitempty"`
	daemon.Inspection
}

// WriteText implements textWriter.
func (c checked) WriteText(w io.Writer) error {
	var b strings.Builder
	for _, warning := range c.Warnings {
		fmt.Fprintln(&b, warning)
	}
	fmt.Fprintf(&b, "%s: valid, %d uplinks, %d rules, %d findings\n", c.Config, len(c.Uplinks), c.Rules, len(c.Findings))
	if c.Rules == 0 {
		b.WriteString(noRules)
	}
	for _, u := range c.Uplinks {
		if u.Why != "" {
			fmt.Fprintf(&b, "\n%s: %s (%s)\n", u.Interface, u.Why, u.State)
		}
	}
	for _, f := range c.Findings {
		fmt.Fprintf(&b, "\n%s: %s (%s)\n  if it stays: %s\n  to mend it:  %s\n", f.Interface, f.What, f.Reason, f.Stays, f.Mend)
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
		Long: `Check the configuration, and look for what on this host would keep answers from
being of use: what it is, what happens if it stays, and what mends it. Nothing is
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
			found, err := daemon.Inspect(c)
			if errors.Is(err, daemon.ErrKubernetes) {
				return usage(err)
			}
			if err != nil {
				return err
			}
			result := checked{Config: src.origin(), Warnings: c.Warnings, Inspection: found}
			return out.write(e.stdout, result)
		},
	}
	src.flags(cmd)
	out.flag(cmd)
	return cmd
}
