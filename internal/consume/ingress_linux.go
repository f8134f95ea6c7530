// SPDX-License-Identifier: Apache-2.0

package consume

import (
	"fmt"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Attributes of a chain's hook that golang.org/x/sys has no names for
// (linux/netfilter/nf_tables.h).
const (
	hookDevs       = 4 // NFTA_HOOK_DEVS
	hookDeviceName = 1 // NFTA_DEVICE_NAME
)

// IngressChains returns the chains of nftables at the ingress hook of a device,
// by table and name. They come before packet sockets. It takes CAP_NET_ADMIN.
func IngressChains(device string) ([]string, error) {
	c, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return nil, fmt.Errorf("open nftables socket: %w", err)
	}
	defer c.Close() //nolint:errcheck // nothing was written
	messages, err := c.Execute(netlink.Message{
		Header: netlink.Header{Type: unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_GETCHAIN, Flags: netlink.Request | netlink.Dump},
		Data:   []byte{unix.NFPROTO_NETDEV, unix.NFNETLINK_V0, 0, 0},
	})
	if err != nil {
		return nil, fmt.Errorf("list nftables chains: %w", err)
	}
	var chains []string
	for _, m := range messages {
		if len(m.Data) < 4 {
			continue
		}
		if name, ok := chainAt(m.Data[4:], device); ok {
			chains = append(chains, name)
		}
	}
	return chains, nil
}

// chainAt reads a chain, and reports whether it is hooked to the device.
func chainAt(b []byte, device string) (name string, ok bool) {
	d, err := netlink.NewAttributeDecoder(b)
	if err != nil {
		return "", false
	}
	var table, chain string
	for d.Next() {
		switch d.Type() {
		case unix.NFTA_CHAIN_TABLE:
			table = d.String()
		case unix.NFTA_CHAIN_NAME:
			chain = d.String()
		case unix.NFTA_CHAIN_HOOK:
			d.Nested(func(d *netlink.AttributeDecoder) error {
				ok = hookedTo(d, device)
				return nil
			})
		}
	}
	return table + " " + chain, ok && d.Err() == nil
}

func hookedTo(d *netlink.AttributeDecoder, device string) (ok bool) {
	for d.Next() {
		switch d.Type() {
		case unix.NFTA_HOOK_DEV:
			ok = ok || d.String() == device
		case hookDevs:
			d.Nested(func(d *netlink.AttributeDecoder) error {
				for d.Next() {
					ok = ok || d.Type() == hookDeviceName && d.String() == device
				}
				return nil
			})
		}
	}
	return ok
}
