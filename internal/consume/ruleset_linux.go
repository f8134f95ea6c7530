// SPDX-License-Identifier: Apache-2.0

package consume

import (
	"fmt"
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

const (
	register = unix.NFT_REG_1

	typeSolicitation = 135 // RFC 4861 §4.3
	offDestination   = 24  // of the destination in an IPv6 header, RFC 8200 §3
)

// build queues the transaction that replaces the table.
func (t *Table) build(uplinks []Uplink) error {
	table := &nftables.Table{Name: tableName, Family: nftables.TableFamilyIPv6, Flags: nftables.TableFlagOwner}
	if t.made {
		t.conn.DelTable(table)
	}
	t.conn.CreateTable(table)
	// What is consumed goes before routing, and what would loop after that and
	// after service proxies, which change the destination of what they take.
	prerouting := t.chain(table, "prerouting", nftables.ChainHookPrerouting, nftables.ChainPriorityRaw)
	forward := t.chain(table, "forward", nftables.ChainHookForward, nftables.ChainPriorityFilter)
	for _, u := range uplinks {
		if err := t.consume(prerouting, u); err != nil {
			return err
		}
		if err := t.dropLoops(forward, u); err != nil {
			return err
		}
	}
	return nil
}

func (t *Table) chain(table *nftables.Table, name string, hook *nftables.ChainHook, priority *nftables.ChainPriority) *nftables.Chain {
	accept := nftables.ChainPolicyAccept
	return t.conn.AddChain(&nftables.Chain{
		Name: name, Table: table, Type: nftables.ChainTypeFilter, Hooknum: hook, Priority: priority, Policy: &accept,
	})
}

// consume drops what came in on the uplink, for its own MAC address, is a
// solicitation, and goes to an address of the prefixes and not to one of this
// host.
func (t *Table) consume(chain *nftables.Chain, u Uplink) error {
	if len(u.Prefixes) == 0 {
		return nil
	}
	set, err := t.set(chain.Table, fmt.Sprintf("answered_%d", u.Index), u.Prefixes)
	if err != nil {
		return err
	}
	t.drop(chain,
		meta(expr.MetaKeyIIF), isDevice(u.Index),
		payload(expr.PayloadBaseLLHeader, 0, 6), compare(expr.CmpOpEq, u.MAC[:]),
		meta(expr.MetaKeyL4PROTO), compare(expr.CmpOpEq, []byte{unix.IPPROTO_ICMPV6}),
		payload(expr.PayloadBaseTransportHeader, 0, 1), compare(expr.CmpOpEq, []byte{typeSolicitation}),
		payload(expr.PayloadBaseNetworkHeader, offDestination, 16), lookup(set),
		&expr.Fib{Register: register, ResultADDRTYPE: true, FlagDADDR: true},
		compare(expr.CmpOpNeq, binaryutil.NativeEndian.PutUint32(unix.RTN_LOCAL)),
	)
	return nil
}

// dropLoops drops what came in on the uplink, would leave by it, and still goes to
// an address of the prefixes.
func (t *Table) dropLoops(chain *nftables.Chain, u Uplink) error {
	if len(u.Loops) == 0 {
		return nil
	}
	set, err := t.set(chain.Table, fmt.Sprintf("loops_%d", u.Index), u.Loops)
	if err != nil {
		return err
	}
	t.drop(chain,
		meta(expr.MetaKeyIIF), isDevice(u.Index),
		meta(expr.MetaKeyOIF), isDevice(u.Index),
		payload(expr.PayloadBaseNetworkHeader, offDestination, 16), lookup(set),
	)
	return nil
}

// set adds a set of addresses.
func (t *Table) set(table *nftables.Table, name string, prefixes []netip.Prefix) (*nftables.Set, error) {
	set := &nftables.Set{Table: table, Name: name, KeyType: nftables.TypeIP6Addr, Interval: true}
	var elements []nftables.SetElement
	for _, i := range intervals(prefixes) {
		elements = append(elements, nftables.SetElement{Key: i.first.AsSlice()})
		if i.end.IsValid() {
			elements = append(elements, nftables.SetElement{Key: i.end.AsSlice(), IntervalEnd: true})
		}
	}
	if err := t.conn.AddSet(set, elements); err != nil {
		return nil, fmt.Errorf("encode set %s: %w", name, err)
	}
	return set, nil
}

// drop adds a rule that drops what its expressions match.
func (t *Table) drop(chain *nftables.Chain, match ...expr.Any) {
	t.conn.AddRule(&nftables.Rule{Table: chain.Table, Chain: chain, Exprs: append(match, &expr.Verdict{Kind: expr.VerdictDrop})})
}

func meta(key expr.MetaKey) expr.Any { return &expr.Meta{Key: key, Register: register} }

func payload(base expr.PayloadBase, offset, length uint32) expr.Any {
	return &expr.Payload{DestRegister: register, Base: base, Offset: offset, Len: length}
}

func compare(op expr.CmpOp, data []byte) expr.Any {
	return &expr.Cmp{Op: op, Register: register, Data: data}
}

func isDevice(index int) expr.Any {
	return compare(expr.CmpOpEq, binaryutil.NativeEndian.PutUint32(uint32(index))) //nolint:gosec // an index
}

func lookup(set *nftables.Set) expr.Any {
	return &expr.Lookup{SourceRegister: register, SetName: set.Name, SetID: set.ID}
}
