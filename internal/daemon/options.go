// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"errors"
	"log/slog"
	"os"

	"github.com/ndproxyd/ndproxyd/internal/config"
	"github.com/ndproxyd/ndproxyd/internal/process"
	"github.com/ndproxyd/ndproxyd/internal/status"
)

// ErrPrivilege is wrapped by the error of a daemon that may not open packet
// sockets.
var ErrPrivilege = errors.New("missing CAP_NET_RAW")

// Options are what a daemon runs with.
type Options struct {
	// Load returns the configuration. It is called at start and on each reload.
	Load func() (*config.Config, error)
	// Origin returns where the configuration came from when it was loaded last,
	// for logs and status.
	Origin func() string
	// File is the configuration file, "" for none. In the volume of a ConfigMap it is
	// read again when the ConfigMap changes.
	File string
	// Reload asks for a reload each time something is received.
	Reload <-chan os.Signal
	// Control is the address of the control socket, "" for none. A leading @
	// stands for an abstract socket of the network namespace.
	Control string
	// Manager is what supervises the process.
	Manager process.Manager
	// Name tells a second daemon on the host who is there before it.
	Name string
	// Predecessor reports whether the daemon of that name is one that this daemon
	// replaces, and so waits for. Nil is for none.
	Predecessor func(name string) bool
	// DaemonSet is the one that the daemon's pod is of, with its namespace and a slash
	// before its name; "" for none.
	DaemonSet string
	// Version is shown in status and in build_info.
	Version status.Version
	// Log receives one line for each change of state.
	Log *slog.Logger
}
