// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"fmt"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Manager is what supervises the process, as systemd does.
type Manager struct {
	// Notify takes one message of sd_notify(3); nil for no manager.
	Notify func(state string) error
	// Watchdog is how long the manager waits for a sign of life; 0 for ever.
	Watchdog time.Duration
}

// tell sends the manager a message.
func (d *daemon) tell(state string) {
	if d.options.Manager.Notify == nil {
		return
	}
	if err := d.options.Manager.Notify(state); err != nil {
		d.supervisor.fault("notify the service manager", err)
	}
}

// tellReady says that the sockets are open and a table is published: at the start,
// and after each reload. An uplink that is missing is waited for, and does not keep
// the host from starting.
func (d *daemon) tellReady() { d.tell("READY=1\nSTATUS=" + d.summary()) }

// tellReloading says that a reload has begun. The time tells the manager which
// READY is the answer to it.
func (d *daemon) tellReloading() {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		d.supervisor.fault("read the clock", err)
		return
	}
	d.tell(fmt.Sprintf("RELOADING=1\nMONOTONIC_USEC=%d", now.Nano()/1000))
}

// tellStatus sends the summary when it is another one. The loop calls it.
func (d *daemon) tellStatus() {
	if d.options.Manager.Notify == nil {
		return
	}
	if s := d.summary(); s != d.told {
		d.told = s
		d.tell("STATUS=" + s)
	}
}

// summary is one line about the uplinks, for people who ask the manager.
func (d *daemon) summary() string {
	var parts []string
	d.supervisor.look(func(u *uplink) {
		if u.state == Ready {
			parts = append(parts, "answering on "+u.config.Interface)
			return
		}
		parts = append(parts, fmt.Sprintf("waiting for %s: %s", u.config.Interface, u.why))
	})
	if len(parts) == 0 {
		parts = []string{"waiting for an IPv6 default route"}
	}
	if !d.metrics.reloadStatus().Successful {
		parts = append(parts, "the last reload failed, and the configuration before it is in force")
	}
	return strings.Join(parts, "; ")
}

// watchdog feeds the manager's watchdog, while the loops go round. Three times in
// its period leaves room for a busy processor.
func (d *daemon) watchdog(ctx context.Context) error {
	if d.options.Manager.Watchdog <= 0 {
		return nil
	}
	tick := time.NewTicker(d.options.Manager.Watchdog / 3)
	defer tick.Stop()
	for {
		if err := d.alive(ctx); err == nil {
			d.tell("WATCHDOG=1")
		} else if ctx.Err() == nil {
			d.log.Error("not alive: the service manager is not told otherwise", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}
