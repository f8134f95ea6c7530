// SPDX-License-Identifier: Apache-2.0

package ndp

import (
	"encoding/binary"
	"net/netip"
)

// AdvertisementLen is the length of every frame we send: Ethernet and IPv6
// header, Neighbor Advertisement, target link-layer address option.
const AdvertisementLen = offOptions + 8

// Flags of an advertisement, RFC 4861 §4.4.
const (
	flagRouter    = 0x80
	flagSolicited = 0x40
)

// Advertisement is a complete Ethernet frame with a Neighbor Advertisement.
type Advertisement [AdvertisementLen]byte

// fill writes the answer to a solicitation from source. The Override flag stays
// zero, as it must in every solicited proxy advertisement (RFC 4861 §7.2.8).
func (a *Advertisement) fill(i *Interface, s *Solicitation, source netip.Addr) {
	*a = i.facts.Template
	s16, t16 := source.As16(), s.target.As16()
	copy(a[offSource:], s16[:])
	copy(a[offTarget:], t16[:])
	c := sum(i.baseSum, t16[:])
	dest, mac := s.source, s.asker
	if s.source.IsUnspecified() { // RFC 4861 §7.2.4: S=0, to all nodes
		dest = allNodes
		if !s.alone { // else RFC 6085 §3: in a unicast frame
			mac = allNodesMAC
		}
	} else { // RFC 4861 §7.2.4: S=1, unicast
		a[offFlags] |= flagSolicited
		c += flagSolicited << 24
	}
	copy(a[offEtherDst:], mac[:])
	d16 := dest.As16()
	copy(a[offDest:], d16[:])
	c = sum(sum(c, s16[:]), d16[:])
	binary.BigEndian.PutUint16(a[offChecksum:], ^fold(c))
}
