// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/ndproxyd/ndproxyd/internal/config"
	"github.com/ndproxyd/ndproxyd/internal/control"
	"github.com/ndproxyd/ndproxyd/internal/fastpath"
	"github.com/ndproxyd/ndproxyd/internal/process"
	"github.com/ndproxyd/ndproxyd/internal/status"
)

func newDetach(e env) *cobra.Command {
	var (
		o            fastpath.DetachOptions
		file, socket string
	)
	cmd := &cobra.Command{
		Use:   "detach [INTERFACE...]",
		Short: "Remove what a daemon that has ended left in the kernel, so that it falls silent at once",
		Long: `Remove the programs that answer in the kernel (fast_path) and outlive the daemon: from
the named interfaces of this network namespace, or from all of them. To have silence at
once, stop the daemon and call this. It prints a line for each thing that it removes, and
nothing where there is nothing to remove; both have exit code 0. What a daemon that runs
answers with stays, and the exit code is 1. So it is where pins cannot be removed, as on a
bpffs that is read-only: then the program ends, and the error says which files stay.

Pins are looked for in --directory, else in the directory of --config, else in that of
` + config.DefaultPath + `, if it exists, else in ` + config.DefaultFastPathDirectory + `. Programs that are
attached here go wherever they are pinned, and pins in other directories with them.

Pins of interfaces that were deleted, with their network namespace or without, are removed
as well where no interface is named.`,
		Example: "  ndproxyd detach eth0",
		Args:    cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if o.AllNamespaces && len(args) > 0 {
				return usage(errors.New("--all-namespaces frees all interfaces: leave their names out"))
			}
			if o.Directory == "" {
				var err error
				src := configFlags{path: file, format: config.ByNameLenient, getenv: e.getenv}
				if o.Directory, err = pinDirectory(src, e.stderr); err != nil {
					return err
				}
			}
			o.Interfaces = args
			o.Daemon = func() (string, func(string) bool) { return answering(cmd.Context(), socket) }
			removed, err := fastpath.Detach(o)
			for _, line := range removed {
				_, _ = fmt.Fprintln(e.stdout, "removed from", line)
			}
			switch {
			case errors.Is(err, fastpath.ErrInUse):
				return fmt.Errorf("%w; stop it first, or set fast_path: off and reload it", err)
			case errors.Is(err, os.ErrPermission):
				return &exitError{code: exitPrivilege, err: fmt.Errorf("%w: this takes root", err)}
			}
			return err
		},
	}
	cmd.Flags().StringVarP(&file, "config", "c", "", "configuration `FILE` (default "+config.DefaultPath+", if it exists)")
	cmd.Flags().StringVar(&o.Directory, "directory", "", "`DIRECTORY` in which the daemon pins (default: fast_path_directory of the configuration)")
	cmd.Flags().BoolVar(&o.AllNamespaces, "all-namespaces", false, "free all network namespaces, as the removal of the package does")
	controlFlag(cmd, &socket)
	return cmd
}

// pinDirectory returns the directory in which a daemon with that configuration pins. A file
// that nobody has named must not keep a package from its removal, whatever is in it.
func pinDirectory(src configFlags, warnings io.Writer) (string, error) {
	c, err := src.load()
	switch {
	case err == nil:
		return c.FastPathDirectory, nil
	case src.path == "":
		_, _ = fmt.Fprintf(warnings, "ndproxyd: looking in %s, because of the configuration: %s\n", config.DefaultFastPathDirectory, config.Shorten(err.Error()))
		return config.DefaultFastPathDirectory, nil
	}
	return "", err
}

// answering returns the name of the daemon in the calling thread's network namespace, ""
// for none, and whether it answers with the program on an interface.
func answering(ctx context.Context, socket string) (name string, uses func(device string) bool) {
	always := func(string) bool { return true }
	name, err := process.Holder(ctx)
	switch {
	case err != nil:
		return err.Error(), always // so there may be one
	case name == "":
		return "", nil
	}
	conn, err := control.Dial(ctx, socket) // here, as a client dials on any thread
	if err != nil {
		return name, always
	}
	s, err := control.NewClientFunc(socket, func(context.Context) (net.Conn, error) { return conn, nil }).Status(ctx)
	if err != nil {
		return name, always
	}
	return name, func(device string) bool {
		return slices.ContainsFunc(s.Uplinks, func(u status.Uplink) bool {
			named := u.Interface == device || u.Name == device
			return named && (u.FastPath == nil || u.FastPath.InKernel()) // nil: not yet
		})
	}
}
