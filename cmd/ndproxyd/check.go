// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ndproxyd/ndproxyd/internal/cluster"
	"github.com/ndproxyd/ndproxyd/internal/config"
	"github.com/ndproxyd/ndproxyd/internal/control"
	"github.com/ndproxyd/ndproxyd/internal/discover"
	"github.com/ndproxyd/ndproxyd/internal/fastpath"
	"github.com/ndproxyd/ndproxyd/internal/inspect"
	"github.com/ndproxyd/ndproxyd/internal/process"
	"github.com/ndproxyd/ndproxyd/internal/status"
	"github.com/ndproxyd/ndproxyd/internal/uplink"
	"github.com/ndproxyd/ndproxyd/pkg/k8swatch"
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
changed. Findings do not change the exit code; a wrong configuration does. With rules that
depend on Kubernetes, the running daemon is asked what it sees of the cluster, else
the API server whether the node is there and what the account may read.`,
		Example: `  ndproxyd check
  ndproxyd check --config /etc/ndproxyd/config.yaml --output json`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
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
			client, err := cluster.Connect(c, buildVersion().Version)
			if err != nil {
				return usage(err)
			}
			// A daemon that runs knows which way it answers. There need not be one.
			running, _ := control.NewClient(control.DefaultAddress).Status(cmd.Context())
			found, err := inspect.Host(c, uplink.Judge, running.Uplinks)
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
			if holder, err := process.Holder(cmd.Context()); err == nil && holder == "" {
				result.Findings = append(result.Findings, leftFindings(uplinks)...)
			}
			if client != nil {
				result.Findings = append(result.Findings, clusterFindings(cmd.Context(), c, client, uplinks)...)
			}
			return out.write(e.stdout, result)
		},
	}
	src.flags(cmd)
	out.flag(cmd)
	return cmd
}

// leftFindings returns findings about what daemons have left on the uplinks, while none runs.
func leftFindings(uplinks []string) []inspect.Finding {
	var found []inspect.Finding
	for _, name := range uplinks {
		if hook := fastpath.Attached(name); hook != "" {
			found = append(found, inspect.Left(name, hook))
		}
	}
	return found
}

// clusterFindings returns findings about the cluster, on the uplinks. A daemon that runs
// with the same server and node knows most: what was refused for how long, and whether
// another daemon has the node's name. Without one the API server is asked.
func clusterFindings(ctx context.Context, c *config.Config, client *k8swatch.Client, uplinks []string) []inspect.Finding {
	var seen *status.Cluster
	s, err := control.NewClient(control.DefaultAddress).Status(ctx)
	if err == nil && s.Cluster != nil && s.Cluster.Server == client.Server && s.Cluster.Node == c.Kubernetes.Node {
		seen = s.Cluster
	} else if seen, err = cluster.Preview(ctx, c, client); err != nil {
		return []inspect.Finding{inspect.Unreachable(client.Server, err)}
	}
	var others []inspect.ClusterResponder
	for _, r := range client.Responders(ctx, c.Kubernetes.Node) {
		others = append(others, inspect.ClusterResponder(r))
	}
	return append(inspect.Cluster(seen, uplinks), inspect.ClusterResponders(others, discover.NeedsOf(c))...)
}
