// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/ndproxyd/ndproxyd/internal/cluster"
	"github.com/ndproxyd/ndproxyd/internal/config"
	"github.com/ndproxyd/ndproxyd/internal/daemon"
	"github.com/ndproxyd/ndproxyd/internal/process"
)

// privilegeHelp says how to grant what is missing.
const privilegeHelp = `
ndproxyd needs the capability CAP_NET_RAW, and nothing else unless autowire,
consume_unicast or drop_loops are set (CAP_NET_ADMIN), or the kernel is to answer
(fast_path: CAP_BPF and CAP_NET_ADMIN). Grant it with one of
  systemd      AmbientCapabilities=CAP_NET_RAW in the unit
  Kubernetes   securityContext: {runAsUser: 0, capabilities: {drop: [ALL], add: [NET_RAW]}}
  a shell      sudo setcap cap_net_raw+ep "$(command -v ndproxyd)", or run it with sudo`

func newRun(e env) *cobra.Command {
	var (
		src       = configFlags{format: config.ByNameLenient, getenv: e.getenv}
		socket    string
		listen    string
		logFormat string
		logLevel  slog.Level
	)
	cmd := &cobra.Command{
		Use:   "run",
		Short: "Answer solicitations until TERM or INT; HUP reloads",
		Long: `Answer solicitations until TERM or INT. HUP reads the configuration file again
without closing a socket, and keeps the old rules when the new file is wrong.

Without a file and without flags, the uplinks are the interfaces with an IPv6
default route. The daemon answers for every address of their on-link prefixes
that the kernel has a more specific route for, to a device behind this node.`,
		Example: `  ndproxyd run
  ndproxyd run --config /etc/ndproxyd/config.yaml
  ndproxyd run --interface eth0 --rule 2001:db8:1:0:f::/80=static`,
		Args: usageArgs(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := src.check(); err != nil {
				return err
			}
			log, err := process.NewLogger(e.stderr, logFormat, logLevel, e.getenv)
			if err != nil {
				return usage(err)
			}
			load := src.load
			if cmd.Flags().Changed("metrics-listen") {
				if err := config.CheckListen(listen); err != nil {
					return usage(fmt.Errorf("--metrics-listen: %w", err))
				}
				load = func() (*config.Config, error) {
					c, err := src.load()
					if err == nil {
						c.SetMetricsListen(listen)
					}
					return c, err
				}
			}
			set, _ := daemonSet(name(e.getenv))
			return runDaemon(cmd.Context(), daemon.Options{
				Load: load, Origin: src.origin, File: src.file(), Control: socket, Version: buildVersion(), Log: log,
				Manager: manager(log, e.getenv), Name: name(e.getenv), Predecessor: predecessor(e.getenv), DaemonSet: set,
			})
		},
	}
	src.flags(cmd)
	controlFlag(cmd, &socket)
	cmd.Flags().StringVar(&listen, "metrics-listen", config.DefaultMetricsListen, "`ADDRESS` of metrics and health, \"\" for none; overrides the file")
	cmd.Flags().StringVar(&logFormat, "log-format", process.LogAuto, "`FORMAT` of the log: auto, text or json; auto is text on a terminal and in the journal")
	cmd.Flags().TextVar(&logLevel, "log-level", slog.LevelInfo, "lowest `LEVEL` that is logged: debug, info, warn or error")
	cmd.Flags().Lookup("log-level").DefValue = "info" // as it is written
	return cmd
}

// runDaemon runs the daemon until a signal ends it. HUP reloads.
func runDaemon(ctx context.Context, o daemon.Options) error {
	// After the first signal the second one ends the process at once.
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	reload := make(chan os.Signal, 1)
	signal.Notify(reload, syscall.SIGHUP)
	defer signal.Stop(reload)
	go func() {
		<-ctx.Done()
		stop()
	}()
	o.Reload = reload
	err := daemon.Run(ctx, o)
	if errors.Is(err, daemon.ErrPrivilege) {
		return fmt.Errorf("%w%s", err, privilegeHelp)
	}
	if errors.Is(err, cluster.ErrKubernetes) {
		return usage(err)
	}
	return err
}
