// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"

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

// ndppdFlags are what the command line of ndppd says.
type ndppdFlags struct {
	src       configFlags
	pidFile   string
	verbosity int
	daemonize bool
	verbose   string // takes a word and ignores it, as ndppd does
}

// newNDPPD is the command line of ndppd. What ndppd does not know, it ignores, and so does
// this.
func newNDPPD(e env) *cobra.Command {
	var f ndppdFlags
	f.src = configFlags{path: ndppdPath, format: config.NDPPDLenient, getenv: e.getenv}
	cmd := &cobra.Command{
		Use:           ndppdName,
		Short:         "ndproxyd, with the command line of ndppd",
		Example:       "  ndppd -c /etc/ndppd.conf -d -p /run/ndppd.pid",
		Args:          cobra.ArbitraryArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		FParseErrWhitelist: cobra.FParseErrWhitelist{
			UnknownFlags: true,
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			detached, is := process.IsDetached(e.getenv, ndppdName)
			switch {
			case is:
				return f.run(cmd.Context(), e, detached.Ready)
			case f.daemonize:
				return f.detach(e)
			}
			return f.run(cmd.Context(), e, nil)
		},
	}
	flags := cmd.Flags()
	flags.StringVarP(&f.src.path, "config", "c", ndppdPath, "configuration file")
	flags.BoolVarP(&f.daemonize, "daemon", "d", false, "return when the daemon is ready, which runs in the background and logs to syslog")
	flags.StringVarP(&f.pidFile, "pidfile", "p", "", "write the process ID to this file")
	flags.CountVarP(&f.verbosity, "v", "v", "say more; repeat for yet more")
	flags.StringVar(&f.verbose, "verbose", "", "takes a word and ignores it, as ndppd does")
	lenientFlag(cmd, &f.src.lenient)
	return cmd
}

// detach starts the daemon in the background. The error has the daemon's exit code.
func (f *ndppdFlags) detach(e env) error {
	err := process.Detach(append([]string{e.program}, e.args...), e.stderr)
	var ended *process.DetachError
	if errors.As(err, &ended) && ended.Code > exitDone {
		return &exitError{code: ended.Code, err: errShown}
	}
	return err
}

// run runs the daemon. Ready, if not nil, is called once it answers: then this process is
// the one in the background.
func (f *ndppdFlags) run(ctx context.Context, e env, ready func() error) error {
	log, err := process.NewLogger(e.stderr, process.LogAuto, ndppdLevel(f.verbosity), e.getenv)
	if err != nil {
		return err
	}
	if ready != nil {
		if err := f.leaveFolder(); err != nil {
			return err
		}
		log = process.NewSyslogLogger(ndppdName, ndppdLevel(f.verbosity))
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	start := ndppdStart{pidFile: f.pidFile, tell: ready}
	defer start.removePID()
	manager := manager(log, e.getenv)
	notify := manager.Notify
	manager.Notify = func(state string) error {
		if strings.HasPrefix(state, process.NotifyReady) {
			if err := start.ready(); err != nil {
				cancel(err)
			}
		}
		if notify != nil {
			return notify(state)
		}
		return nil
	}
	err = runDaemon(ctx, daemon.Options{
		Load: f.src.load, Origin: f.src.origin, Control: control.DefaultAddress, Version: buildVersion(), Log: log,
		Manager: manager, Name: name(e.getenv),
	})
	if cause := context.Cause(ctx); err == nil && cause != nil {
		err = cause
	}
	if err != nil && ready != nil {
		log.Error("the daemon failed", "err", err)
	}
	return err
}

// ndppdStart is what happens once, when the daemon is ready for the first time.
type ndppdStart struct {
	pidFile string
	tell    func() error // the process that waits for the daemon; nil for nobody

	mu     sync.Mutex
	done   bool
	remove func() // the file of the process ID
}

// ready writes the process ID, and tells who waits. It is called after each reload as well,
// and does nothing then.
func (s *ndppdStart) ready() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.done {
		return nil
	}
	s.done = true
	if s.pidFile != "" {
		var err error
		if s.remove, err = process.WritePID(s.pidFile); err != nil {
			return err
		}
	}
	if s.tell == nil {
		return nil
	}
	return s.tell()
}

// removePID removes the file of the process ID, if it was written.
func (s *ndppdStart) removePID() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.remove != nil {
		s.remove()
	}
}

// leaveFolder changes to the root folder, so that no other file system stays in use, and
// keeps the meaning of the paths.
func (f *ndppdFlags) leaveFolder() error {
	for _, path := range []*string{&f.src.path, &f.pidFile} {
		if *path == "" {
			continue
		}
		absolute, err := filepath.Abs(*path)
		if err != nil {
			return fmt.Errorf("find %s: %w", *path, err)
		}
		*path = absolute
	}
	if err := os.Chdir("/"); err != nil {
		return fmt.Errorf("leave the folder: %w", err)
	}
	return nil
}

// ndppdLevel is the level of the log by how often -v was given: notice, info and
// debug are ndppd's.
func ndppdLevel(verbosity int) slog.Level {
	if verbosity > 1 {
		return slog.LevelDebug
	}
	return slog.LevelInfo
}
