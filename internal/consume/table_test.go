// SPDX-License-Identifier: Apache-2.0

package consume_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/google/nftables"
	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/internal/consume"
	"github.com/ndproxyd/ndproxyd/internal/lab"
)

// inNamespace runs a test in a network namespace of its own.
func inNamespace(t *testing.T, test func() error) {
	t.Helper()
	n, err := lab.New()
	if err != nil {
		t.Fatalf("this test needs root: %v", err)
	}
	defer n.Close()
	if err := n.Do(test); err != nil {
		t.Error(err)
	}
}

// elements returns how many ranges each set of the daemon's table has.
func elements(t *testing.T) map[string]int {
	t.Helper()
	c, err := nftables.New()
	if err != nil {
		t.Fatal(err)
	}
	sets, err := c.GetSets(&nftables.Table{Name: "ndproxyd", Family: nftables.TableFamilyIPv6})
	if err != nil {
		return nil
	}
	found := make(map[string]int)
	for _, s := range sets {
		all, err := c.GetSetElements(s)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range all {
			if !e.IntervalEnd {
				found[s.Name]++
			}
		}
	}
	return found
}

// many returns an uplink with n prefixes that do not touch, in both lists.
func many(index, n int) consume.Uplink {
	u := consume.Uplink{Index: index}
	for i := range n {
		u.Prefixes = append(u.Prefixes, netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, byte(index), byte(i >> 8), byte(i), 1}), 64))
	}
	u.Loops = u.Prefixes
	return u
}

// TestManyPrefixes is what overran the socket and the longest message once: the
// table can be made with thousands of prefixes on several uplinks, and changed
// time after time.
func TestManyPrefixes(t *testing.T) {
	t.Parallel()
	inNamespace(t, func() error {
		table, err := consume.Open()
		if err != nil {
			return err
		}
		for _, n := range []int{1000, 1001, 300, 256, 1, 0, 1000, consume.MaxPrefixes} {
			begin := time.Now()
			if err := table.Set([]consume.Uplink{many(1, n), many(2, n), many(3, n)}); err != nil {
				return fmt.Errorf("%d prefixes: %w", n, err)
			}
			t.Logf("%d prefixes in each of 6 sets: %s", n, time.Since(begin))
			got := elements(t)
			if n == 0 && len(got) == 0 {
				continue
			}
			for _, set := range []string{"answered_1", "answered_2", "answered_3", "loops_1", "loops_2", "loops_3"} {
				if got[set] != n {
					t.Errorf("set %s has %d ranges, want %d", set, got[set], n)
				}
			}
		}
		if err := table.Close(); err != nil {
			return err
		}
		if got := elements(t); got != nil {
			t.Errorf("the table outlives its socket: %v", got)
		}
		return nil
	})
}

// TestHighDescriptor opens a table in a process with many descriptors: that is an
// error which goes away, and no panic.
func TestHighDescriptor(t *testing.T) {
	var held []*os.File
	defer func() {
		for _, f := range held {
			f.Close()
		}
	}()
	for range 1024 {
		f, err := os.Open(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, f)
	}
	if _, err := consume.Open(); !errors.Is(err, unix.EMFILE) {
		t.Errorf("got %v", err)
	}
}

// TestTaken has another program own the table's name, for ever and for a while.
func TestTaken(t *testing.T) {
	t.Parallel()
	set := func() (*consume.Table, error) {
		table, err := consume.Open()
		if err != nil {
			t.Fatal(err)
		}
		return table, table.Set([]consume.Uplink{many(1, 3)})
	}
	t.Run("foreign table", func(t *testing.T) {
		t.Parallel()
		inNamespace(t, func() error {
			c, err := nftables.New()
			if err != nil {
				return err
			}
			foreign := c.AddTable(&nftables.Table{Name: "ndproxyd", Family: nftables.TableFamilyIPv6})
			if err := c.Flush(); err != nil {
				return err
			}
			table, err := set()
			if !errors.Is(err, consume.ErrTaken) {
				t.Errorf("got %v", err)
			}
			table.Close()
			c.DelTable(foreign)
			if err := c.Flush(); err != nil {
				t.Errorf("the foreign table is gone: %v", err)
			}
			if table, err = set(); err != nil {
				return err
			}
			return table.Close()
		})
	})
	t.Run("second daemon", func(t *testing.T) {
		t.Parallel()
		inNamespace(t, func() error {
			first, err := set()
			if err != nil {
				return err
			}
			second, err := set()
			if !errors.Is(err, consume.ErrTaken) || errors.Is(err, os.ErrPermission) {
				t.Errorf("got %v", err)
			}
			second.Close()
			if err := first.Set([]consume.Uplink{many(1, 5)}); err != nil {
				t.Errorf("the first daemon lost its table: %v", err)
			}
			first.Close()
			if second, err = set(); err != nil {
				return err
			}
			return second.Close()
		})
	})
}

// cut is a table whose socket can be closed behind the Keeper's back.
type cut struct{ *consume.Table }

// TestKeeperLosesItsSocket closes the socket of the table: the kernel removes the
// table, and the next change makes another.
func TestKeeperLosesItsSocket(t *testing.T) {
	t.Parallel()
	n, err := lab.New()
	if err != nil {
		t.Fatalf("this test needs root: %v", err)
	}
	defer n.Close()
	opened := make(chan cut, 10)
	open := func() (s consume.Setter, err error) {
		err = n.Do(func() error {
			table, err := consume.Open()
			if err == nil {
				opened <- cut{table}
				s = table
			}
			return err
		})
		return s, err
	}
	k := consume.NewKeeper(open, func() {}, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- k.Run(ctx) }()
	until := func(want int) {
		t.Helper()
		for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
			got := 0
			if err := n.Do(func() error { got = elements(t)["answered_1"]; return nil }); err != nil {
				t.Fatal(err)
			}
			if got == want {
				return
			}
		}
		t.Fatalf("the table never had %d prefixes (%v)", want, k.Fault())
	}
	k.Want([]consume.Uplink{many(1, 3)})
	until(3)
	first := <-opened
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	until(0)
	k.Want([]consume.Uplink{many(1, 7)})
	until(7)
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	until(0)
}
