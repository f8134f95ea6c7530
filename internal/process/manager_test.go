// SPDX-License-Identifier: Apache-2.0

package process_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/process"
	"github.com/ndproxyd/ndproxyd/internal/task"
)

var _ task.Task = new(process.Watchdog)

// TestNotifier reads what a service manager is sent.
func TestNotifier(t *testing.T) {
	t.Parallel()
	var sent []string
	var fail error
	var log bytes.Buffer
	n := process.NewNotifier(process.Manager{Notify: func(s string) error {
		sent = append(sent, s)
		return fail
	}}, slog.New(slog.NewTextHandler(&log, nil)))
	n.Ready("waiting for eth0")
	n.Status("waiting for eth0")
	n.Status("answering on eth0")
	n.Reloading()
	n.Ready("answering on eth0")
	n.Status("answering on eth0")
	n.Stopping()
	want := []string{
		"READY=1\nSTATUS=waiting for eth0", "STATUS=answering on eth0", "RELOADING=1\nMONOTONIC_USEC=",
		"READY=1\nSTATUS=answering on eth0", "STOPPING=1",
	}
	if len(sent) != len(want) {
		t.Fatalf("sent %q", sent)
	}
	for i, w := range want {
		if !strings.HasPrefix(sent[i], w) {
			t.Errorf("message %d is %q, want %q", i, sent[i], w)
		}
	}
	fail = errors.New("no route to systemd")
	n.Status("a")
	n.Status("b")
	fail = nil
	n.Status("c")
	fail = errors.New("again")
	n.Status("d")
	if got := strings.Count(log.String(), "notifying the service manager failed"); got != 2 {
		t.Errorf("%d lines for two outages: %s", got, &log)
	}
	process.NewNotifier(process.Manager{}, slog.New(slog.DiscardHandler)).Ready("nobody hears it")
}

// TestWatchdog feeds a watchdog while the process lives, and only then.
func TestWatchdog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var fed atomic.Int32
		var stuck, hangs atomic.Bool
		n := process.NewNotifier(process.Manager{
			Watchdog: 30 * time.Second,
			Notify: func(s string) error {
				if s == "WATCHDOG=1" {
					fed.Add(1)
				}
				return nil
			},
		}, slog.New(slog.DiscardHandler))
		w := n.NewWatchdog(func(ctx context.Context) error {
			if hangs.Load() {
				<-ctx.Done()
				return ctx.Err()
			}
			if stuck.Load() {
				return errors.New("stuck")
			}
			return nil
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- w.Run(ctx) }()
		expect := func(when string, want int32) {
			t.Helper()
			time.Sleep(30*time.Second - time.Nanosecond)
			synctest.Wait()
			if got := fed.Load(); got != want {
				t.Errorf("%s it was fed %d times, want %d", when, got, want)
			}
			time.Sleep(time.Nanosecond)
			synctest.Wait()
			fed.Store(0)
		}
		expect("alive", 3)
		stuck.Store(true)
		expect("with an error", 0)
		stuck.Store(false)
		hangs.Store(true)
		expect("with a check that hangs", 0)
		hangs.Store(false)
		time.Sleep(time.Minute)
		synctest.Wait()
		if fed.Load() == 0 {
			t.Error("it is not fed again after a check that hung")
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	without := process.NewNotifier(process.Manager{}, slog.New(slog.DiscardHandler)).NewWatchdog(nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := without.Run(ctx); err != nil {
		t.Error(err)
	}
}
