// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// The bounds and flags of bpf/table.h.
const (
	maxClasses   = 8
	maxAddresses = 16
	maxSources   = 8
	maxOnLink    = 16
	maxIgnored   = 16

	flagConsume      = 1
	flagOnLinkOnly   = 2
	flagSourceTarget = 4
	flagHasFallback  = 8

	// flagRouter is the R flag of an advertisement, RFC 4861 §4.4.
	flagRouter = 0x80
)

// factsOf returns what the program answers from on an interface, or why it cannot decide
// there. The table adds where its lines are. consume is true where the program keeps
// unicast solicitations from the kernel's IPv6 that it does not answer.
func factsOf(i *ndp.Interface, consume bool) (programFacts, error) {
	from := i.Facts()
	if err := fits(&from); err != nil {
		return programFacts{}, err
	}
	var f programFacts
	copy(f.Mac[:], from.MAC[:])
	if i.Router() {
		f.Router = flagRouter
	}
	if consume && from.Uplink.ConsumeUnicast {
		f.Flags |= flagConsume
	}
	for n, a := range from.Addresses {
		high, low := words(a)
		f.Address[n].High, f.Address[n].Low = high, low
		f.Filter |= 1 << filterBit(high, low)
	}
	f.Addresses = count(from.Addresses)
	sourceFacts(&f, &from)
	askerFacts(&f, &from)
	return f, nil
}

// fits returns an error where the interface or its settings are more than the program
// can decide by: one that lasts.
func fits(f *ndp.InterfaceFacts) error {
	var err error
	switch {
	case f.Uplink.LimitPerAsker > 0:
		err = fmt.Errorf("limit_per_asker: only the packet socket counts askers")
	case len(f.Addresses) > maxAddresses:
		err = fmt.Errorf("the interface has %d addresses, of which the program takes %d", len(f.Addresses), maxAddresses)
	case f.Uplink.Source == rules.SourceAuto && len(f.Sources) > maxSources:
		err = fmt.Errorf("the interface has %d addresses to answer from, of which the program takes %d", len(f.Sources), maxSources)
	case f.Uplink.RequireOnLinkSource && len(f.OnLink) > maxOnLink:
		err = fmt.Errorf("the interface has %d on-link prefixes, of which the program takes %d", len(f.OnLink), maxOnLink)
	case len(f.Uplink.IgnoreSources) > maxIgnored:
		err = fmt.Errorf("ignore_sources has %d askers, of which the program takes %d", len(f.Uplink.IgnoreSources), maxIgnored)
	}
	if err != nil {
		return lasting{err}
	}
	return nil
}

// sourceFacts sets where answers come from, as [ndp.Interface.Source] chooses it.
func sourceFacts(f *programFacts, from *ndp.InterfaceFacts) {
	if from.Uplink.Source == rules.SourceTarget {
		f.Flags |= flagSourceTarget
		return
	}
	if from.Uplink.Source == rules.SourceAuto {
		for n, p := range from.Sources {
			s := &f.Source[n]
			s.Prefix.Address.High, s.Prefix.Address.Low = words(p.Masked().Addr())
			s.Prefix.Mask.High, s.Prefix.Mask.Low = mask(p.Bits())
			s.From.High, s.From.Low = words(p.Addr())
		}
		f.Sources = count(from.Sources)
	}
	if from.Fallback.IsValid() {
		f.Flags |= flagHasFallback
		f.Fallback.High, f.Fallback.Low = words(from.Fallback)
	}
}

// askerFacts sets who is left to the packet socket.
func askerFacts(f *programFacts, from *ndp.InterfaceFacts) {
	for _, a := range from.Uplink.IgnoreSources {
		if !a.Prefix.IsValid() {
			copy(f.IgnoreMac[f.IgnoredMacs][:], a.MAC[:])
			f.IgnoredMacs++
			continue
		}
		p := &f.Ignore[f.Ignored]
		p.Address.High, p.Address.Low = words(a.Prefix.Addr())
		p.Mask.High, p.Mask.Low = mask(a.Prefix.Bits())
		f.Ignored++
	}
	if !from.Uplink.RequireOnLinkSource {
		return
	}
	f.Flags |= flagOnLinkOnly
	for n, p := range from.OnLink {
		f.Onlink[n].Address.High, f.Onlink[n].Address.Low = words(p.Addr())
		f.Onlink[n].Mask.High, f.Onlink[n].Mask.Low = mask(p.Bits())
	}
	f.Onlinks = count(from.OnLink)
}

// count returns a length that was checked.
func count[T any](s []T) uint32 { return uint32(len(s)) } //nolint:gosec // of at most maxAddresses

// words returns the octets of an address as the program compares them: two words in
// network byte order.
func words(a netip.Addr) (high, low uint64) {
	b := a.As16()
	return binary.NativeEndian.Uint64(b[:8]), binary.NativeEndian.Uint64(b[8:])
}

// filterBit returns the number of the bit that stands for an address in the filter of own
// addresses: filter_bit of bpf/answer.c. The factor is 2^64 divided by the golden ratio, which
// spreads addresses that differ in little.
func filterBit(high, low uint64) uint64 { return (high ^ low) * 0x9e3779b97f4a7c15 >> 58 }

// mask returns the mask of a prefix length in the same form.
func mask(bits int) (high, low uint64) {
	ones := netip.AddrFrom16([16]byte{
		0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	})
	return words(netip.PrefixFrom(ones, bits).Masked().Addr())
}
