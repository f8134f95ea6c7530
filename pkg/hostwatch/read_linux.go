// SPDX-License-Identifier: Apache-2.0

package hostwatch

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// readRoutes reads devices, policy rules and routes anew. changes reports whether
// events have come since the last time it was asked.
func readRoutes(changes func() bool) (*Routes, error) {
	r := NewRoutes()
	links, err := again(netlink.LinkList)
	if err != nil {
		return nil, fmt.Errorf("read links: %w", err)
	}
	for _, l := range links {
		r.devices[int32(l.Attrs().Index)] = newDevice(l) //nolint:gosec // an index
	}
	messages, err := again(func() ([][]byte, error) {
		req := nl.NewNetlinkRequest(unix.RTM_GETRULE, unix.NLM_F_DUMP)
		req.AddData(nl.NewIfInfomsg(unix.AF_INET6))
		return req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWRULE)
	})
	if err != nil {
		return nil, fmt.Errorf("read policy rules: %w", err)
	}
	r.setPolicy(messages)
	r.silent = setting("/proc/sys/net/ipv6/route/skip_notify_on_dev_down") == "1"
	for range dumpTries {
		if err := r.dump(); err != nil {
			return nil, err
		}
		if changes == nil || !changes() {
			break
		}
	}
	return r, nil
}

// dump adds the kernel's routes. When routes change meanwhile, the kernel's walk
// may leave some out that did not; so the caller dumps again, and what is deleted
// between two dumps goes by its event.
func (r *Routes) dump() error {
	req := nl.NewNetlinkRequest(unix.RTM_GETROUTE, unix.NLM_F_DUMP)
	req.AddData(nl.NewIfInfomsg(unix.AF_INET6))
	r.hostRoutes = nil
	err := req.ExecuteIter(unix.NETLINK_ROUTE, unix.RTM_NEWROUTE, func(b []byte) bool {
		msg, ok := parseRoute(b)
		if !ok {
			return true
		}
		r.Apply(msg, 0, false)
		if msg.Protocol == HostRouteProtocol && msg.Prefix.IsSingleIP() {
			r.hostRoutes = append(r.hostRoutes, HostRoute{Address: msg.Prefix.Addr(), Device: int(msg.Paths[0].Index)})
		}
		return true
	})
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return fmt.Errorf("read routes: %w", err)
	}
	return nil
}

// again repeats a reading that changes interrupt.
func again[T any](read func() (T, error)) (T, error) {
	v, err := read()
	for try := 0; try < dumpTries && errors.Is(err, netlink.ErrDumpInterrupted); try++ {
		v, err = read()
	}
	return v, err
}
