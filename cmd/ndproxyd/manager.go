// SPDX-License-Identifier: Apache-2.0

package main

import (
	"log/slog"

	"github.com/coreos/go-systemd/v22/daemon"

	"github.com/ndproxyd/ndproxyd/internal/process"
)

// manager returns the service manager that the environment names, if any.
func manager(log *slog.Logger, getenv func(string) string) process.Manager {
	if getenv("NOTIFY_SOCKET") == "" {
		return process.Manager{}
	}
	watchdog, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		log.Warn("the service manager's watchdog is not fed", "err", err)
	}
	return process.Manager{Watchdog: watchdog, Notify: func(state string) error {
		_, err := daemon.SdNotify(false, state)
		return err
	}}
}

// name is what a second daemon on the host is told of this one.
func name(getenv func(string) string) string {
	switch {
	case getenv("POD_NAME") != "":
		return "the pod " + getenv("POD_NAMESPACE") + "/" + getenv("POD_NAME")
	case getenv("INVOCATION_ID") != "":
		return "a service of systemd"
	}
	return "a process of the command line"
}
