// SPDX-License-Identifier: Apache-2.0

package main

import (
	"log/slog"
	"strings"

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

// predecessor returns what tells a daemon that this one replaces by its name. A pod
// replaces those of its own DaemonSet, which starts the new one first where its
// updateStrategy has a maxSurge. Nothing else is to replace a daemon that runs.
func predecessor(getenv func(string) string) func(string) bool {
	own := name(getenv)
	set, ok := daemonSet(own)
	if !ok {
		return nil
	}
	return func(other string) bool {
		of, ok := daemonSet(other)
		return ok && of == set && other != own
	}
}

// daemonSet returns the DaemonSet of the pod with a name of a daemon, with its
// namespace: the pod's name without the suffix that the DaemonSet adds.
func daemonSet(name string) (set string, ok bool) {
	pod, ok := strings.CutPrefix(name, "the pod ")
	if !ok {
		return "", false
	}
	i := strings.LastIndexByte(pod, '-')
	if i < 0 {
		return "", false
	}
	return pod[:i], true
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
