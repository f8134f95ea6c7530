// SPDX-License-Identifier: Apache-2.0

package process

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// NotifyReady begins the message that says that the process does its work.
const NotifyReady = "READY=1"

// Manager is the service manager that supervises the process, as systemd does.
// The zero Manager is none.
type Manager struct {
	// Notify sends one message of sd_notify(3); nil without a service manager.
	Notify func(state string) error
	// Watchdog is how long the manager waits for a sign of life before it ends
	// the process; 0 for ever.
	Watchdog time.Duration
}

// Notifier tells the service manager how the process is.
type Notifier struct {
	manager Manager
	log     *slog.Logger

	mu     sync.Mutex
	status string // the summary that the manager has
	failed bool   // the last message could not be sent, which was logged
}

// NewNotifier returns a Notifier for a manager. Log receives a line when the
// manager cannot be reached.
func NewNotifier(m Manager, log *slog.Logger) *Notifier { return &Notifier{manager: m, log: log} }

// Ready says that the process does its work, at the start and after each reload.
// The summary is one line for people who ask the manager.
func (n *Notifier) Ready(summary string) {
	n.changed(summary)
	n.send(NotifyReady + "\nSTATUS=" + summary)
}

// Status sends the summary if it is not the one that the manager has.
func (n *Notifier) Status(summary string) {
	if n.changed(summary) {
		n.send("STATUS=" + summary)
	}
}

// Reloading says that a reload has begun. The time in the message tells the
// manager which READY answers it (sd_notify(3)).
func (n *Notifier) Reloading() {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		n.log.Warn("reading the monotonic clock failed: the service manager is not told of the reload", "err", err)
		return
	}
	n.send(fmt.Sprintf("RELOADING=1\nMONOTONIC_USEC=%d", now.Nano()/1000))
}

// Stopping says that the process has begun to stop.
func (n *Notifier) Stopping() { n.send("STOPPING=1") }

// changed remembers the summary, and reports whether it is another one.
func (n *Notifier) changed(summary string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	changed := n.status != summary
	n.status = summary
	return changed
}

// send sends a message. The lock is not held meanwhile.
func (n *Notifier) send(state string) {
	if n.manager.Notify == nil {
		return
	}
	err := n.manager.Notify(state)
	n.mu.Lock()
	before := n.failed
	n.failed = err != nil
	n.mu.Unlock()
	if err != nil && !before {
		n.log.Warn("notifying the service manager failed", "err", err)
	}
}

// Watchdog feeds the manager's watchdog for as long as the process is alive. It
// is a task.Task.
type Watchdog struct {
	notifier *Notifier
	alive    func(ctx context.Context) error
}

// NewWatchdog returns the task that feeds the watchdog each time that alive
// returns nil. alive must return when its context ends, which is after the
// watchdog's period at the latest.
func (n *Notifier) NewWatchdog(alive func(ctx context.Context) error) *Watchdog {
	return &Watchdog{notifier: n, alive: alive}
}

// Run feeds the watchdog three times in its period, which leaves room for a busy
// processor, until ctx ends. Without a watchdog it only waits for ctx.
func (w *Watchdog) Run(ctx context.Context) error {
	period := w.notifier.manager.Watchdog
	if period <= 0 || w.notifier.manager.Notify == nil {
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(period / 3)
	defer tick.Stop()
	for {
		w.feed(ctx, period)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (w *Watchdog) feed(ctx context.Context, period time.Duration) {
	asking, cancel := context.WithTimeout(ctx, period)
	defer cancel()
	err := w.alive(asking)
	switch {
	case err == nil:
		w.notifier.send("WATCHDOG=1")
	case ctx.Err() == nil:
		w.notifier.log.Error("the process is not alive: the watchdog of the service manager is not fed", "err", err)
	}
}

// Ready returns nil: nobody waits for the watchdog.
func (w *Watchdog) Ready() error { return nil }

func (w *Watchdog) String() string { return "watchdog" }
