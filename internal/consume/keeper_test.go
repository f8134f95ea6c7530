// SPDX-License-Identifier: Apache-2.0

package consume_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/consume"
	"github.com/ndproxyd/ndproxyd/internal/task"
)

var _ task.Task = (*consume.Keeper)(nil)

// fakeKernel makes tables that fail as it is told to.
type fakeKernel struct {
	openErr, setErr error
	block           chan struct{} // Set waits until it is closed
	opened, closed  int
	sets            [][]consume.Uplink
	turn            atomic.Int64 // orders what the test and the task do, for the race detector
}

func (f *fakeKernel) open() (consume.Setter, error) {
	f.turn.Add(1)
	if f.openErr != nil {
		return nil, f.openErr
	}
	f.opened++
	return f, nil
}

func (f *fakeKernel) Set(uplinks []consume.Uplink) error {
	f.sets = append(f.sets, uplinks)
	if f.block != nil {
		<-f.block
	}
	return f.setErr
}

func (f *fakeKernel) Close() error {
	f.closed++
	return nil
}

// keep runs a Keeper in a bubble, and returns its log.
func keep(t *testing.T, f *fakeKernel, test func(k *consume.Keeper)) string {
	t.Helper()
	var log bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		k := consume.NewKeeper(f.open, func() {}, slog.New(slog.NewTextHandler(&log, nil)))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- k.Run(ctx) }()
		synctest.Wait()
		test(k)
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		if f.opened != f.closed {
			t.Errorf("%d tables were opened and %d closed", f.opened, f.closed)
		}
	})
	return log.String()
}

// on wants the prefixes on an interface.
func on(index int, prefixes ...string) consume.Uplink {
	u := consume.Uplink{Index: index, MAC: [6]byte{2, 0, 0, 0, 0, byte(index)}}
	for _, p := range prefixes {
		u.Prefixes = append(u.Prefixes, netip.MustParsePrefix(p))
	}
	return u
}

func TestKeeperFollows(t *testing.T) {
	t.Parallel()
	f := new(fakeKernel)
	keep(t, f, func(k *consume.Keeper) {
		want := func(sets, opened, closed int, uplinks ...consume.Uplink) {
			t.Helper()
			k.Want(uplinks)
			synctest.Wait()
			if len(f.sets) != sets || f.opened != opened || f.closed != closed {
				t.Errorf("%d sets, %d opened, %d closed; want %d, %d, %d", len(f.sets), f.opened, f.closed, sets, opened, closed)
			}
			if err := k.Fault(); err != nil {
				t.Error(err)
			}
		}
		if err := k.Ready(); err != nil {
			t.Errorf("without a want: %v", err)
		}
		want(0, 0, 0)
		want(1, 1, 0, on(1, "2001:db8::/64"))
		want(1, 1, 0, on(1, "2001:db8::/64"))
		moved := on(1, "2001:db8::/64")
		moved.MAC[5] = 99
		want(2, 1, 0, moved)
		want(3, 1, 0, moved, on(2, "2001:db8::/64"))
		want(3, 1, 1)
		want(4, 2, 1, on(1, "2001:db8::/64"))
		f.pass(time.Hour)
		want(4, 2, 1, on(1, "2001:db8::/64"))
	})
}

func TestKeeperCopiesWhatIsWanted(t *testing.T) {
	t.Parallel()
	f := new(fakeKernel)
	keep(t, f, func(k *consume.Keeper) {
		mine := []consume.Uplink{on(1, "2001:db8::/64")}
		k.Want(mine)
		mine[0].Prefixes[0] = netip.MustParsePrefix("2001:db8:1::/64")
		synctest.Wait()
		if got := f.sets[0][0].Prefixes[0].String(); got != "2001:db8::/64" {
			t.Errorf("got %s", got)
		}
	})
}

// TestKeeperFails is the daemon without the privilege, beside another daemon, on an
// old kernel: however much happens meanwhile, the table is tried at the times of
// the backoff, by one goroutine, and the log has one line.
func TestKeeperFails(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		err   error
		tries int // within ten minutes of changes
	}{
		{"no privilege", fmt.Errorf("set: %w", os.ErrPermission), 11},
		{"old kernel", fmt.Errorf("set: %w", consume.ErrUnsupported), 11},
		{"foreign table", fmt.Errorf("set: %w", consume.ErrTaken), 125},
		{"unknown outcome", errors.New("no buffer space available"), 125},
	}
	for _, tt := range tests {
		for _, opening := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/opening=%t", tt.name, opening), func(t *testing.T) {
				t.Parallel()
				f := &fakeKernel{setErr: tt.err}
				if opening {
					f.openErr = tt.err
				}
				log := keep(t, f, func(k *consume.Keeper) {
					before := runtime.NumGoroutine()
					for i := range 6000 {
						k.Want([]consume.Uplink{on(1, fmt.Sprintf("2001:db8:%x::/64", i))})
						f.pass(100 * time.Millisecond)
					}
					synctest.Wait()
					if now := runtime.NumGoroutine(); now > before+50 { // other tests run beside this one
						t.Errorf("%d goroutines, %d before", now, before)
					}
					if !opening && (len(f.sets) > tt.tries || len(f.sets) < tt.tries-3) {
						t.Errorf("%d attempts in ten minutes, want %d", len(f.sets), tt.tries)
					}
					if f.opened != f.closed {
						t.Error("a table of unknown content stays")
					}
					if err := k.Fault(); !errors.Is(err, tt.err) {
						t.Errorf("fault is %v", err)
					}
					if err := k.Ready(); err != nil {
						t.Errorf("not ready: %v", err)
					}
					f.openErr, f.setErr = nil, nil
					f.pass(time.Minute)
					if err := k.Fault(); err != nil {
						t.Errorf("mended, but: %v", err)
					}
					if got := f.sets[len(f.sets)-1][0].Prefixes[0].String(); got != "2001:db8:176f::/64" {
						t.Errorf("the table has %s", got)
					}
				})
				if n := strings.Count(log, "level=WARN"); n != 1 {
					t.Errorf("%d warnings in the log:\n%s", n, log)
				}
			})
		}
	}
}

// TestKeeperBlocks has the kernel take its time: nobody waits for it, and only the
// latest want is made.
func TestKeeperBlocks(t *testing.T) {
	t.Parallel()
	f := new(fakeKernel)
	keep(t, f, func(k *consume.Keeper) {
		f.block = make(chan struct{}) // of the bubble
		k.Want([]consume.Uplink{on(1, "2001:db8::/64")})
		synctest.Wait()
		begin := time.Now()
		for i := range 300 {
			k.Want([]consume.Uplink{on(1, fmt.Sprintf("2001:db8:%x::/64", i+1))})
			_, _, _ = k.Ready(), k.Fault(), k.String()
		}
		if d := time.Since(begin); d != 0 { // of the fake clock
			t.Errorf("300 wants waited %s", d)
		}
		close(f.block)
		synctest.Wait()
		if len(f.sets) != 2 {
			t.Fatalf("%d calls, want the one that blocked and one for the rest", len(f.sets))
		}
		if got := f.sets[1][0].Prefixes[0].String(); got != "2001:db8:12c::/64" {
			t.Errorf("the table has %s", got)
		}
	})
}

func TestKeeperBound(t *testing.T) {
	t.Parallel()
	f := new(fakeKernel)
	keep(t, f, func(k *consume.Keeper) {
		u := on(7)
		for i := range consume.MaxPrefixes + 1 {
			u.Loops = append(u.Loops, netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, byte(i >> 8), byte(i), 1}), 64))
		}
		k.Want([]consume.Uplink{u})
		synctest.Wait()
		if n := len(f.sets[0][0].Loops); n != consume.MaxPrefixes {
			t.Errorf("%d prefixes in the table", n)
		}
		if err := k.Fault(); err == nil || !strings.Contains(err.Error(), "drop_loops on interface 7") {
			t.Errorf("fault is %v", err)
		}
		u.Loops = u.Loops[:9]
		k.Want([]consume.Uplink{u})
		synctest.Wait()
		if err := k.Fault(); err != nil {
			t.Error(err)
		}
	})
}

// pass lets time pass, and waits for what that brings about.
func (f *fakeKernel) pass(d time.Duration) {
	f.turn.Add(1)
	time.Sleep(d)
	synctest.Wait()
}

// TestTried tells when what is wanted was tried.
func TestTried(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		k := consume.NewKeeper(func() (consume.Setter, error) { return nil, consume.ErrUnsupported }, func() {}, slog.New(slog.DiscardHandler))
		want := []consume.Uplink{{Index: 2, Prefixes: []netip.Prefix{netip.MustParsePrefix("2001:db8::/64")}}}
		if !k.Tried(nil) || k.Tried(want) {
			t.Error("before the first attempt: nothing has to be tried, a table has")
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- k.Run(ctx) }()
		k.Want(want)
		synctest.Wait()
		if !k.Tried(want) {
			t.Error("what cannot be made counts as tried")
		}
		cancel()
		<-ended
	})
}
