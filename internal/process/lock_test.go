// SPDX-License-Identifier: Apache-2.0

package process_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/lab"
	"github.com/ndproxyd/ndproxyd/internal/process"
)

// TestLock takes the lock beside a daemon that has it, with and without a
// stranger who has the address on which the holder tells its name.
func TestLock(t *testing.T) {
	t.Parallel()
	const unbound = -2 // nobody squats
	for name, c := range map[string]struct {
		uid     uint32
		backlog int
		words   string
	}{
		"of root":                             {0, unbound, "the first (process "},
		"of a user with the capability":       {4711, unbound, "the first (process "},
		"whose name a stranger serves":        {0, 1, "a process of user 0 that does not tell its name"},
		"whose name a stranger binds":         {0, -1, "a process of user 0 that does not tell its name"},
		"whose name a stranger never accepts": {4711, 0, "a process of user 4711 that does not tell its name"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ns := namespace(t)
			if c.backlog != unbound {
				squat(t, ns, "@ndproxyd-lock", c.backlog)
			}
			holder := func() (name string) {
				must(t, ns.Do(func() (err error) { name, err = process.Holder(t.Context()); return err }))
				return name
			}
			if got := holder(); got != "" {
				t.Errorf("nobody holds the lock, and is called %q", got)
			}
			first := startLocker(t, ns, "the first", c.uid)
			first.wait(held)
			if c.backlog != unbound {
				first.wait("the lock is in force, but a second daemon cannot say who holds it")
			}
			startLocker(t, ns, "the second", 0).refused("waiting for it to stop", "another ndproxyd answers on this host: "+c.words, "stop it, or this one")
			if got := holder(); !strings.HasPrefix(got, c.words) {
				t.Errorf("the holder is called %q", got)
			}
			third := startLocker(t, ns, "the third", 0, waitName+"=1m")
			third.wait("waiting for it to stop")
			first.stop()
			third.wait(held)
		})
	}
}

// TestLockUndelayed takes the lock beside strangers, who must not delay it: it is
// there long before a daemon would be given up as one that does not stop.
func TestLockUndelayed(t *testing.T) {
	t.Parallel()
	for name, backlog := range map[string]int{"who listens": 1, "who does not listen": -1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ns := namespace(t)
			squat(t, ns, "@ndproxyd-lock", backlog)
			l := startLocker(t, ns, "alone", 4711)
			l.wait(held)
			if strings.Contains(l.out.String(), "waiting for it to stop") {
				t.Errorf("it has waited: %s", &l.out)
			}
		})
	}
}

// TestNameTakenBack has a stranger leave the address, after which the daemon
// tells its name there.
func TestNameTakenBack(t *testing.T) {
	t.Parallel()
	ns := namespace(t)
	leave := squat(t, ns, "@ndproxyd-lock", 1)
	first := startLocker(t, ns, "the first", 0)
	first.wait("user 4712")
	leave()
	said := ""
	for end := time.Now().Add(patience); time.Now().Before(end) && said == ""; time.Sleep(10 * time.Millisecond) {
		_ = ns.Do(func() error {
			conn, err := net.Dial("unix", "@ndproxyd-lock")
			if err != nil {
				return err
			}
			defer conn.Close()
			b := make([]byte, 64)
			n, _ := conn.Read(b)
			said = string(b[:n])
			return nil
		})
	}
	if said != "the first" {
		t.Errorf("the daemon says %q", said)
	}
}

// TestLockRace starts many at once: never do two of them have the lock.
func TestLockRace(t *testing.T) {
	t.Parallel()
	ns := namespace(t)
	var ls []*locker
	for range 6 {
		ls = append(ls, startLocker(t, ns, "one of many", 0))
	}
	holders := func() (n int) {
		for _, l := range ls {
			if strings.Contains(l.out.String(), held) {
				n++
			}
		}
		return n
	}
	ended := make(chan *locker)
	for _, l := range ls {
		go func() {
			l.done <- <-l.done
			ended <- l
		}()
	}
	for range len(ls) - 1 {
		select {
		case <-ended:
		case <-time.After(patience):
			t.Fatalf("%d have the lock, and others go on to wait", holders())
		}
	}
	if n := holders(); n != 1 {
		t.Errorf("%d of %d have got the lock", n, len(ls))
	}
}

// TestLockPredecessor waits for a daemon that is to be replaced for longer than another
// one gets, and for no other.
func TestLockPredecessor(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, before string
		waits        bool
	}{
		{"its predecessor", "the pod a/b-1", true},
		{"another daemon", "the pod a/c-1", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			ns := namespace(t)
			first := startLocker(t, ns, "the pod a/b-1", 0)
			first.wait(held)
			next := startLocker(t, ns, "the pod a/b-2", 0, predecessorName+"="+tt.before)
			if !tt.waits {
				next.refused("another ndproxyd answers on this host: the pod a/b-1")
				return
			}
			next.wait("waiting for the daemon before this one to stop")
			time.Sleep(7 * time.Second) // another daemon would have given up
			if strings.Contains(next.out.String(), held) {
				t.Fatal("both have the lock")
			}
			successor := func() (name string) {
				must(t, ns.Do(func() error { name = process.Successor(t.Context()); return nil }))
				return name
			}
			await := func(want string) {
				t.Helper()
				for end := time.Now().Add(patience); successor() != want; time.Sleep(10 * time.Millisecond) {
					if time.Now().After(end) {
						t.Fatalf("the one that waits is not %q", want)
					}
				}
			}
			await("the pod a/b-2")
			first.stop()
			next.wait(held)
			await("")
		})
	}
}

// TestLockPredecessorLate has the predecessor tell its name only after its successor has
// begun to wait: the successor tells it of itself all the same.
func TestLockPredecessorLate(t *testing.T) {
	t.Parallel()
	ns := namespace(t)
	leave := squat(t, ns, "@ndproxyd-lock", 1)
	first := startLocker(t, ns, "the pod a/b-1", 0)
	first.wait(held)
	next := startLocker(t, ns, "the pod a/b-2", 0, predecessorName+"=the pod a/b-1", waitName+"=1m")
	next.wait("another ndproxyd answers on this host: waiting for it to stop")
	leave()
	next.wait("waiting for the daemon before this one to stop")
	first.stop()
	next.wait(held)
}

// TestLockContext ends the context of a daemon that waits.
func TestLockContext(t *testing.T) {
	t.Parallel()
	ns := namespace(t)
	startLocker(t, ns, "the first", 0).wait(held)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	must(t, ns.Do(func() error {
		_, err := process.Lock(ctx, process.Options{Name: "the second", Log: slog.New(slog.DiscardHandler)})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("the error is %v", err)
		}
		return nil
	}))
}

// TestLockNeedsPrivilege shows that no other user can hold the lock.
func TestLockNeedsPrivilege(t *testing.T) {
	t.Parallel()
	ns := namespace(t)
	must(t, ns.Do(func() error {
		if err := setEffectiveUser(4712); err != nil { // clears the effective capabilities
			return err
		}
		_, err := process.Lock(context.Background(), process.Options{Log: slog.New(slog.DiscardHandler)})
		if !errors.Is(err, os.ErrPermission) {
			t.Errorf("a user without CAP_NET_RAW gets %v", err)
		}
		return setEffectiveUser(0)
	}))
}

// TestCheckDaemon asks who serves an abstract name.
func TestCheckDaemon(t *testing.T) {
	t.Parallel()
	check := func(ns *lab.Namespace, name string) error {
		return ns.Do(func() error {
			conn, err := net.Dial("unix", name)
			if err != nil {
				return err
			}
			defer conn.Close()
			return process.CheckDaemon(conn.(*net.UnixConn))
		})
	}
	ns := namespace(t)
	squat(t, ns, "@served", 1)
	if err := check(ns, "@served"); !errors.Is(err, process.ErrStranger) || !strings.Contains(err.Error(), "not a daemon's: user 4712") {
		t.Errorf("the error for a stranger is %v", err)
	}
	startLocker(t, ns, "a daemon", 4711).wait(held)
	// It tells its name a moment after it has the lock.
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		err := check(ns, "@ndproxyd-lock")
		if err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("the error for a daemon is %v", err)
		}
	}
}
