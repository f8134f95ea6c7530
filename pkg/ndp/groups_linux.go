// SPDX-License-Identifier: Apache-2.0

package ndp

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// groupSockets joins groups by MLD on sockets that receive nothing. The kernel
// bounds the memberships of one socket (net.core.optmem_max), so it opens
// another one when all are full. The groups end with the sockets.
type groupSockets struct {
	index   int
	sockets []*groupSocket
	in      map[uint32]*groupSocket // who holds a group
	keep    func(group uint32, on bool)
}

type groupSocket struct {
	fd   int
	full bool
}

func (g *groupSockets) join(group uint32) error {
	for _, s := range g.sockets {
		if s.full {
			continue
		}
		err := g.set(unix.IPV6_JOIN_GROUP, s.fd, group)
		if err == nil {
			g.in[group] = s
			g.keep(group, true)
			return nil
		}
		if !errors.Is(err, unix.ENOMEM) && !errors.Is(err, unix.ENOBUFS) {
			return err
		}
		s.full = true
	}
	fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open socket for groups: %w", err)
	}
	if err := g.set(unix.IPV6_JOIN_GROUP, fd, group); err != nil {
		return errors.Join(err, unix.Close(fd))
	}
	if g.in == nil {
		g.in = make(map[uint32]*groupSocket)
	}
	s := &groupSocket{fd: fd}
	g.sockets = append(g.sockets, s)
	g.in[group] = s
	g.keep(group, true)
	return nil
}

func (g *groupSockets) leave(group uint32) error {
	s, ok := g.in[group]
	if !ok {
		return nil
	}
	delete(g.in, group)
	s.full = false
	g.keep(group, false)
	return g.set(unix.IPV6_LEAVE_GROUP, s.fd, group)
}

func (g *groupSockets) set(option, fd int, group uint32) error {
	mreq := unix.IPv6Mreq{Multiaddr: SolicitedNode(group).As16(), Interface: uint32(g.index)} //nolint:gosec // an index
	if err := unix.SetsockoptIPv6Mreq(fd, unix.IPPROTO_IPV6, option, &mreq); err != nil {
		return fmt.Errorf("change membership of %s: %w", SolicitedNode(group), err)
	}
	return nil
}

func (g *groupSockets) close() error {
	var errs []error
	for _, s := range g.sockets {
		errs = append(errs, unix.Close(s.fd))
	}
	g.sockets, g.in = nil, nil
	return errors.Join(errs...)
}
