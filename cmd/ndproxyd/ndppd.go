// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/ndproxyd/ndproxyd/internal/config"
	"github.com/ndproxyd/ndproxyd/internal/control"
	"github.com/ndproxyd/ndproxyd/internal/daemon"
	"github.com/ndproxyd/ndproxyd/internal/process"
)

// ndppdName is the name by which this program takes ndppd's command line.
const ndppdName = "ndppd"

// ndppdPath is where ndppd looks for its configuration.
const ndppdPath = "/etc/ndppd.conf"

// isNDPPD reports whether the program was called as ndppd.
func isNDPPD(program string) bool { return filepath.Base(program) == ndppdName }

// newNDPPD is the command line of ndppd: what it has it takes, and what it has
// not is passed over, as ndppd goes on after it.
func newNDPPD(e env) *cobra.Command {
	var (
		src       = configFlags{path: ndppdPath, format: config.NDPPDLenient, getenv: e.getenv}
		pidFile   string
		verbosity int
		daemonize bool
		ignored   string
	)
	cmd := &cobra.Command{
		Use:           ndppdName,
		Short:         "ndproxyd, with the command line of ndppd",
		Example:       "  ndppd -c /etc/ndppd.conf -p /run/ndppd.pid -v",
		Args:          cobra.ArbitraryArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		FParseErrWhitelist: cobra.FParseErrWhitelist{
			UnknownFlags: true,
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			log, err := process.NewLogger(e.stderr, process.LogAuto, ndppdLevel(verbosity), e.getenv)
			if err != nil {
				return err
			}
			if daemonize {
				log.Warn("-d has no effect: the program stays in the foreground, as systemd wants it (Type=simple instead of forking)")
			}
			if pidFile != "" {
				if err := writePID(pidFile); err != nil {
					return err
				}
				defer func() { _ = os.Remove(pidFile) }()
			}
			return runDaemon(cmd.Context(), daemon.Options{
				Load: src.load, Origin: src.origin, Control: control.DefaultAddress, Version: buildVersion(), Log: log,
			})
		},
	}
	f := cmd.Flags()
	f.StringVarP(&src.path, "config", "c", ndppdPath, "configuration file")
	f.BoolVarP(&daemonize, "daemon", "d", false, "without effect")
	f.StringVarP(&pidFile, "pidfile", "p", "", "write the process ID to this file")
	f.CountVarP(&verbosity, "v", "v", "say more; repeat for yet more")
	f.StringVar(&ignored, "verbose", "", "takes a word and ignores it, as ndppd does")
	lenientFlag(cmd, &src.lenient)
	return cmd
}

// ndppdLevel is the level of the log by how often -v was given: notice, info and
// debug are ndppd's.
func ndppdLevel(verbosity int) slog.Level {
	if verbosity > 1 {
		return slog.LevelDebug
	}
	return slog.LevelInfo
}

// writePID writes the process ID for scripts that ask for it.
func writePID(path string) error {
	if err := os.WriteFile(path, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o644); err != nil { //nolint:gosec // others read it
		return errors.Join(fmt.Errorf("write process ID: %w", err), errors.New("name another file with -p, or leave it out"))
	}
	return nil
}
