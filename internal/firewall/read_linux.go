// SPDX-License-Identifier: Apache-2.0

package firewall

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Read returns the rules of this network namespace. The caller closes them. The
// error wraps os.ErrPermission without CAP_NET_ADMIN.
func Read() (*Ruleset, error) {
	conn, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return nil, fmt.Errorf("open nftables socket: %w", err)
	}
	k := kernel{conn}
	chains, err := k.chains()
	if err != nil {
		conn.Close() //nolint:errcheck,gosec // nothing was written
		return nil, err
	}
	return newRuleset(k, chains), nil
}

// kernel is nftables of the kernel as a source.
type kernel struct{ conn *netlink.Conn }

// dump returns what the kernel has of one kind.
func (k kernel) dump(kind netlink.HeaderType, family uint8, attrs ...netlink.Attribute) ([]attributes, error) {
	b, err := netlink.MarshalAttributes(attrs)
	if err != nil {
		return nil, err
	}
	messages, err := k.conn.Execute(netlink.Message{
		Header: netlink.Header{Type: unix.NFNL_SUBSYS_NFTABLES<<8 | kind, Flags: netlink.Request | netlink.Dump},
		Data:   append([]byte{family, unix.NFNETLINK_V0, 0, 0}, b...),
	})
	if err != nil {
		return nil, err
	}
	var out []attributes
	for _, m := range messages {
		if len(m.Data) >= 4 {
			out = append(out, parse(m.Data[4:]))
		}
	}
	return out, nil
}

// chains returns those that IPv6 packets may come to, in the order of the kernel.
func (k kernel) chains() ([]chain, error) {
	var out []chain
	for _, family := range []uint8{unix.NFPROTO_IPV6, unix.NFPROTO_INET} {
		tables, err := k.dump(unix.NFT_MSG_GETTABLE, family)
		if err != nil {
			return nil, fmt.Errorf("list nftables tables: %w", err)
		}
		dormant := make(map[string]bool)
		for _, m := range tables {
			dormant[m.text(unix.NFTA_TABLE_NAME)] = m.number(unix.NFTA_TABLE_FLAGS)&tableDormant != 0
		}
		chains, err := k.dump(unix.NFT_MSG_GETCHAIN, family)
		if err != nil {
			return nil, fmt.Errorf("list nftables chains: %w", err)
		}
		for _, m := range chains {
			if c := parseChain(family, m); !dormant[c.table] {
				out = append(out, c)
			}
		}
	}
	slices.SortStableFunc(out, func(a, b chain) int { return cmp.Compare(a.priority, b.priority) })
	return out, nil
}

// rules implements source.
func (k kernel) rules(c chain) ([][]expression, error) {
	messages, err := k.dump(unix.NFT_MSG_GETRULE, c.family,
		netlink.Attribute{Type: unix.NFTA_RULE_TABLE, Data: []byte(c.table + "\x00")},
		netlink.Attribute{Type: unix.NFTA_RULE_CHAIN, Data: []byte(c.name + "\x00")})
	if err != nil {
		return nil, fmt.Errorf("list nftables rules of %s: %w", c.name, err)
	}
	var out [][]expression
	for _, m := range messages {
		if m.text(unix.NFTA_RULE_CHAIN) == c.name { // kernels before 4.16 return all
			out = append(out, parseRule(m))
		}
	}
	return out, nil
}

// elements implements source.
func (k kernel) elements(family uint8, table, set string) ([]element, error) {
	messages, err := k.dump(unix.NFT_MSG_GETSETELEM, family,
		netlink.Attribute{Type: unix.NFTA_SET_ELEM_LIST_TABLE, Data: []byte(table + "\x00")},
		netlink.Attribute{Type: unix.NFTA_SET_ELEM_LIST_SET, Data: []byte(set + "\x00")})
	if err != nil {
		return nil, fmt.Errorf("list elements of the nftables set %s: %w", set, err)
	}
	var out []element
	for _, m := range messages {
		for _, b := range list(m[unix.NFTA_SET_ELEM_LIST_ELEMENTS]) {
			out = append(out, parseElement(b))
		}
	}
	return out, nil
}

// close implements source.
func (k kernel) close() error { return k.conn.Close() }
