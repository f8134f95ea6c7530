// SPDX-License-Identifier: Apache-2.0

package conformance_test

import (
	"errors"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

// TestOutOfDescriptors opens sockets when there are no descriptors left: each way
// fails with an error that says so, leaves nothing behind, and works later. It
// must not run beside others, as the limit is the process's.
func TestOutOfDescriptors(t *testing.T) {
	net := harness.NewNetwork(t)
	link, err := net.Node.Link.LinkByName(harness.Uplink)
	harness.Must(t, err)
	table, err := rules.Compile(conformance.Rules())
	harness.Must(t, err)
	iface := ndp.NewInterface(conformance.Link(link.Attrs().Index), rules.Uplink{Interface: harness.Uplink})
	listen := func() (*ndp.Listener, error) {
		return ndp.Listen(ndp.ListenConfig{Interface: iface, View: table.View(harness.Uplink), Counters: new(ndp.Counters)})
	}
	harness.Must(t, net.Node.Do(func() error {
		l, err := listen()
		if err != nil {
			return err
		}
		defer l.Close()
		m := ndp.NewMembership(rules.MembershipJoin, l)
		defer m.Close()
		narrow, err := rules.Compile([]rules.Rule{{Prefix: netip.PrefixFrom(conformance.Pod, 128), Method: rules.Static}})
		if err != nil {
			return err
		}
		view := narrow.View(harness.Uplink)
		var limit unix.Rlimit
		if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
			return err
		}
		none := limit
		none.Cur = 3
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &none); err != nil {
			return err
		}
		_, listened := listen()
		_, probed := ndp.OpenProbeSocket()
		joined := m.Apply(view, rules.Diff(nil, view))
		moved := l.SetEarly(true)
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
			return err
		}
		for name, err := range map[string]error{"listener": listened, "probe socket": probed, "membership": joined, "move": moved} {
			if !errors.Is(err, unix.EMFILE) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := errors.Join(l.Alive(t.Context()), l.SetEarly(true), l.Alive(t.Context())); err != nil {
			return err
		}
		err = l.Close()
		for range 2 { // one of which has its ring where that one had its own
			again, failed := listen()
			if failed != nil {
				return errors.Join(err, failed)
			}
			_ = l.Close() // once more, which is nothing to the others
			err = errors.Join(err, again.Alive(t.Context()))
			defer again.Close()
		}
		return err
	}))
}
