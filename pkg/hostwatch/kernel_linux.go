// SPDX-License-Identifier: Apache-2.0

package hostwatch

import (
	"errors"
	"fmt"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// kernel is what readings ask for. All of it may take long.
type kernel interface {
	// subscribe opens a socket that hears of these rtnetlink groups.
	subscribe(groups ...uint) (subscription, error)
	// devices returns all network devices.
	devices() ([]Device, error)
	// policyRules returns the bodies of RTM_NEWRULE of all IPv6 policy rules.
	policyRules() ([][]byte, error)
	// routes calls f for each route of all IPv6 tables.
	routes(f func(Route)) error
	// neighbors calls f for the body of RTM_NEWNEIGH of each entry of a family.
	neighbors(family int, f func(body []byte)) error
	// skipsNotify reports the setting net.ipv6.route.skip_notify_on_dev_down.
	skipsNotify() bool
}

// subscription is a socket that events come from.
type subscription interface {
	// receive waits for events and hands all that are there to handle, which
	// must not keep them. It returns errOverrun after a loss, and wraps
	// [os.ErrDeadlineExceeded] when it need not wait any longer.
	receive(handle func(hdr *unix.NlMsghdr, data []byte)) error
	// drain drops the events that are there.
	drain() error
	// wake ends a receive at that time, the zero time for never.
	wake(at time.Time) error
	// queued returns how much of the receive buffer is in use.
	queued() uint32
	Close() error
}

// host is the kernel of the caller's network namespace.
type host struct{}

func (host) subscribe(groups ...uint) (subscription, error) {
	s, err := subscribe(groups...)
	if err != nil {
		return nil, fmt.Errorf("subscribe to changes of the network: %w", err)
	}
	return s, nil
}

func (host) devices() ([]Device, error) {
	links, err := again(netlink.LinkList)
	if err != nil {
		return nil, fmt.Errorf("read links: %w", err)
	}
	devices := make([]Device, len(links))
	for i, l := range links {
		devices[i] = newDevice(l)
	}
	return devices, nil
}

func (host) policyRules() ([][]byte, error) {
	messages, err := again(func() ([][]byte, error) {
		req := nl.NewNetlinkRequest(unix.RTM_GETRULE, unix.NLM_F_DUMP)
		req.AddData(nl.NewIfInfomsg(unix.AF_INET6))
		return req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWRULE)
	})
	if err != nil {
		return nil, fmt.Errorf("read policy rules: %w", err)
	}
	return messages, nil
}

func (host) routes(f func(Route)) error {
	req := nl.NewNetlinkRequest(unix.RTM_GETROUTE, unix.NLM_F_DUMP)
	req.AddData(nl.NewIfInfomsg(unix.AF_INET6))
	err := req.ExecuteIter(unix.NETLINK_ROUTE, unix.RTM_NEWROUTE, func(b []byte) bool {
		if msg, ok := parseRoute(b); ok {
			f(msg)
		}
		return true
	})
	// The caller reads again when something changed meanwhile.
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return fmt.Errorf("read routes: %w", err)
	}
	return nil
}

func (host) neighbors(family int, f func(body []byte)) error {
	req := nl.NewNetlinkRequest(unix.RTM_GETNEIGH, unix.NLM_F_DUMP)
	req.AddData(&netlink.Ndmsg{Family: uint8(family)}) //nolint:gosec // AF_*
	err := req.ExecuteIter(unix.NETLINK_ROUTE, unix.RTM_NEWNEIGH, func(b []byte) bool {
		f(b)
		return true
	})
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return fmt.Errorf("read neighbors: %w", err)
	}
	return nil
}

func (host) skipsNotify() bool {
	return setting("/proc/sys/net/ipv6/route/skip_notify_on_dev_down") == "1"
}

// dumpTries bounds the repetitions of a dump that changes interrupt. What is left
// out after so many is read again on the next event.
const dumpTries = 10

// again repeats a reading that changes interrupt. Should each be interrupted, the
// error is [netlink.ErrDumpInterrupted], so that nobody takes a part for the
// whole.
func again[T any](read func() (T, error)) (T, error) {
	v, err := read()
	for try := 0; try < dumpTries && errors.Is(err, netlink.ErrDumpInterrupted); try++ {
		v, err = read()
	}
	return v, err
}
