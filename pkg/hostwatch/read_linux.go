// SPDX-License-Identifier: Apache-2.0

package hostwatch

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// readRoutes reads devices, policy rules and routes anew.
func readRoutes() (*Routes, error) {
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
	req := nl.NewNetlinkRequest(unix.RTM_GETROUTE, unix.NLM_F_DUMP)
	req.AddData(nl.NewIfInfomsg(unix.AF_INET6))
	err = req.ExecuteIter(unix.NETLINK_ROUTE, unix.RTM_NEWROUTE, func(b []byte) bool {
		if msg, ok := parseRoute(b); ok {
			r.apply(msg, 0, false)
			if msg.protocol == HostRouteProtocol && msg.prefix.IsSingleIP() {
				r.hostRoutes = append(r.hostRoutes, HostRoute{Address: msg.prefix.Addr(), Device: int(msg.paths[0].index)})
			}
		}
		return true
	})
	// The kernel's walk of the tables goes on where it was when they change
	// meanwhile, and the events tell what did.
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return nil, fmt.Errorf("read routes: %w", err)
	}
	return r, nil
}

// again repeats a reading that changes interrupt.
func again[T any](read func() (T, error)) (T, error) {
	v, err := read()
	for try := 0; try < dumpTries && errors.Is(err, netlink.ErrDumpInterrupted); try++ {
		v, err = read()
	}
	return v, err
}
