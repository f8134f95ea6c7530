// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// device looks at the device that the program is attached to, and at the other end of a
// veth. Its sockets stay in the network namespace that it was opened in, whichever thread
// uses them. It is not safe for concurrent use.
type device struct {
	index   int
	netlink *netlink.Handle
	peers   *nl.NetlinkSocket // for the other ends of veths, in other namespaces
	ethtool int               // a socket to ask the driver by
}

// openDevice opens the sockets, in the calling thread's network namespace.
func openDevice(index int) (d *device, err error) {
	d = &device{index: index, ethtool: -1}
	defer func() {
		if err != nil {
			d.close()
		}
	}()
	if d.netlink, err = netlink.NewHandle(unix.NETLINK_ROUTE); err != nil {
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	if d.peers, err = nl.GetNetlinkSocketAt(netns.None(), netns.None(), unix.NETLINK_ROUTE); err != nil {
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	if d.ethtool, err = unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return nil, fmt.Errorf("open socket: %w", err)
	}
	return d, nil
}

func (d *device) close() {
	if d.netlink != nil {
		d.netlink.Close()
	}
	if d.peers != nil {
		d.peers.Close()
	}
	if d.ethtool >= 0 {
		_ = unix.Close(d.ethtool) // nothing was written
	}
}

// handle names the device for package netlink.
func (d *device) handle() netlink.Link {
	return &netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: d.index}}
}

// isHardware reports whether a device has a card behind it.
func isHardware(l netlink.Link) bool {
	_, err := os.Stat(filepath.Join("/sys/class/net", l.Attrs().Name, "device"))
	return err == nil && l.Type() == "device"
}

// tagsSeen returns an error where the card takes tags of VLANs off: XDP would see the
// frames of all of them as if they had none, and answer for other links.
func (d *device) tagsSeen() error {
	l, err := d.netlink.LinkByIndex(d.index)
	if err != nil {
		return fmt.Errorf("look at the device: %w", err)
	}
	if !isHardware(l) {
		return nil
	}
	name := l.Attrs().Name
	off, err := d.takesTagsOff(name)
	if err != nil || off { // an older driver may not say: then it may do so
		return errors.Join(fmt.Errorf("the card takes VLAN tags off, which a program at XDP cannot see then: ethtool -K %s rx-vlan-offload off", name), err)
	}
	return nil
}

// errNoPeerProgram says that a veth loses what is sent by XDP.
var errNoPeerProgram = errors.New("the other end of the veth has no XDP program, without which the kernel loses what is sent by XDP: set fast_path: xdp-generic or tc, or attach any XDP program there")

// peerTakesXDP returns an error where the device is a veth whose other end does not
// receive what the driver sends by XDP: without an XDP program there, the kernel counts
// such frames as sent, and loses them. An end that cannot be seen is not judged.
func (d *device) peerTakesXDP() error {
	l, err := d.netlink.LinkByIndex(d.index)
	if err != nil {
		return fmt.Errorf("look at the device: %w", err)
	}
	if l.Type() != "veth" || l.Attrs().ParentIndex == 0 {
		return nil
	}
	peer, err := d.peer(l.Attrs().NetNsID, l.Attrs().ParentIndex)
	if err != nil {
		return nil //nolint:nilerr // not our namespace: the first answers will tell
	}
	if x := peer.Attrs().Xdp; x == nil || !x.Attached {
		return errNoPeerProgram
	}
	return nil
}

// peer looks at a device of another network namespace, of which this one's has a number;
// -1 for this one.
func (d *device) peer(namespace, index int) (netlink.Link, error) {
	if namespace < 0 {
		return d.netlink.LinkByIndex(index)
	}
	request := nl.NewNetlinkRequest(unix.RTM_GETLINK, unix.NLM_F_ACK)
	request.Sockets = map[int]*nl.SocketHandle{unix.NETLINK_ROUTE: {Socket: d.peers}}
	message := nl.NewIfInfomsg(unix.AF_UNSPEC)
	message.Index = int32(index) //nolint:gosec // the kernel's number
	request.AddData(message)
	request.AddData(nl.NewRtAttr(unix.IFLA_TARGET_NETNSID, nl.Uint32Attr(uint32(namespace)))) //nolint:gosec // not negative
	replies, err := request.Execute(unix.NETLINK_ROUTE, 0)
	if err != nil {
		return nil, fmt.Errorf("look at device %d of namespace %d: %w", index, namespace, err)
	}
	if len(replies) != 1 {
		return nil, fmt.Errorf("look at device %d of namespace %d: %d replies", index, namespace, len(replies))
	}
	return netlink.LinkDeserialize(nil, replies[0])
}
