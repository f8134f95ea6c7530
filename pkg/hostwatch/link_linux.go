// SPDX-License-Identifier: Apache-2.0

package hostwatch

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// ErrNoLink is the error for an interface that does not exist.
var ErrNoLink = errors.New("no such interface")

// ReadLink returns the facts of the interface with that name, or with that
// index where none has the name (an interface that was renamed; 0 for no such
// hint). The error wraps [ErrNoLink] when there is neither. Stations is left out:
// [Watcher.Stations] has them without a dump.
func ReadLink(name string, index int) (rules.Link, error) {
	link, err := netlink.LinkByName(name)
	if isNotFound(err) && index > 0 {
		link, err = netlink.LinkByIndex(index)
	}
	if isNotFound(err) {
		return rules.Link{}, fmt.Errorf("read link %s: %w", name, ErrNoLink)
	}
	if err != nil {
		return rules.Link{}, fmt.Errorf("read link %s: %w", name, err)
	}
	attrs := link.Attrs()
	l := rules.Link{
		Name:     attrs.Name,
		Index:    attrs.Index,
		Up:       isUp(attrs),
		Ethernet: isEthernet(attrs),
		Bridge:   link.Type() == "bridge",
	}
	if l.Ethernet {
		l.MAC = [6]byte(attrs.HardwareAddr)
	}
	if l.Master, err = masterOf(attrs); err != nil {
		return rules.Link{}, err
	}
	if l.IPv6, l.Forwarding, err = settings(attrs.Name); err != nil {
		return rules.Link{}, err
	}
	if l.Addresses, err = addresses(link); err != nil {
		return rules.Link{}, err
	}
	return l, nil
}

func isNotFound(err error) bool {
	var notFound netlink.LinkNotFoundError
	return errors.As(err, &notFound) || errors.Is(err, unix.ENODEV)
}

// masterOf returns the name of the link that takes over what a port receives,
// as bridges, bonds and teams do: a packet socket on the port hears nothing, or
// what its master does not want. A VRF leaves its links their frames.
func masterOf(attrs *netlink.LinkAttrs) (string, error) {
	if attrs.MasterIndex == 0 {
		return "", nil
	}
	master, err := netlink.LinkByIndex(attrs.MasterIndex)
	switch {
	case isNotFound(err): // gone meanwhile: an event follows
		return "", nil
	case err != nil:
		return "", fmt.Errorf("read master of %s: %w", attrs.Name, err)
	case master.Type() == "vrf":
		return "", nil
	}
	return master.Attrs().Name, nil
}

func addresses(link netlink.Link) ([]rules.LinkAddress, error) {
	list, err := again(func() ([]netlink.Addr, error) { return netlink.AddrList(link, netlink.FAMILY_V6) })
	if err != nil {
		return nil, fmt.Errorf("read addresses of %s: %w", link.Attrs().Name, err)
	}
	var out []rules.LinkAddress
	for _, a := range list {
		prefix, ok := toPrefix(a.IPNet)
		if !ok {
			continue
		}
		out = append(out, rules.LinkAddress{
			Prefix: prefix,
			// RFC 4862 §5.4: not before duplicate address detection succeeded;
			// an optimistic address may be used meanwhile (RFC 4429 §2.1).
			Usable: a.Flags&unix.IFA_F_DADFAILED == 0 &&
				(a.Flags&unix.IFA_F_TENTATIVE == 0 || a.Flags&unix.IFA_F_OPTIMISTIC != 0),
			Deprecated: a.Flags&unix.IFA_F_DEPRECATED != 0,
		})
	}
	return out, nil
}

func toPrefix(n *net.IPNet) (netip.Prefix, bool) {
	addr, ok := netip.AddrFromSlice(n.IP)
	ones, _ := n.Mask.Size()
	return netip.PrefixFrom(addr, ones), ok
}

// settings tells whether an interface has IPv6, and whether it forwards.
func settings(name string) (ipv6, forwarding bool, err error) {
	b, err := os.ReadFile(filepath.Join("/proc/sys/net/ipv6/conf", filepath.Base(name), "forwarding"))
	if errors.Is(err, os.ErrNotExist) {
		return false, false, nil
	}
	if err != nil {
		return false, false, fmt.Errorf("read forwarding of %s: %w", name, err)
	}
	return true, strings.TrimSpace(string(b)) != "0", nil
}
