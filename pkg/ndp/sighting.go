// SPDX-License-Identifier: Apache-2.0

package ndp

import (
	"net/netip"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// Sighting is a sign on the uplink that another station uses an address that
// we answer for.
type Sighting struct {
	Address netip.Addr
	// MAC is the other station's.
	MAC [6]byte
	// Advertisement is true for an advertisement for the address, false for a
	// solicitation from it, or by duplicate address detection for it.
	Advertisement bool
	// Tentative is true for the latter: the station does not have the address yet, and
	// answers no question about it meanwhile (RFC 4862 §5.4).
	Tentative bool
	// Override and Solicited are the O and S flags of the advertisement. A
	// proxy answers without the former (RFC 4861 §7.2.8).
	Override, Solicited bool
}

// signRate is how many signs of each kind are handed on in a second, and at once:
// more than a node that takes over the addresses of another one sends
// announcements, and few enough for a flood to cost little.
const signRate = 2000

// The kinds of signs. No kind uses up what another one may.
const (
	signOther    = iota // that an address is in use
	signAnswer          // an answer, perhaps to a question of ours
	signPresence        // of a daemon on another node
	signKinds
)

func (s Sighting) kind() int {
	switch {
	case rules.PresencePrefix().Contains(s.Address):
		return signPresence
	case s.Solicited:
		return signAnswer
	}
	return signOther
}

// flagOverride of an advertisement, RFC 4861 §4.4.
const flagOverride = 0x20

// Sight returns the sign in a Neighbor Advertisement of another station, and
// false where there is none, or the frame is not valid.
func Sight(frame []byte, meta Meta, i *Interface, view *rules.View) (Sighting, bool) {
	if checkLink(frame, meta, i) != Answered {
		return Sighting{}, false
	}
	target, mac, ok := advertised(frame, meta.ChecksumPartial)
	present := i.facts.Uplink.Presence.IsValid() && (rules.PresencePrefix().Contains(target) || i.isNextHop(target))
	if !ok || !proxyable(target) && !present || mac == i.facts.MAC || i.Owns(target) || !present && !guarded(target, view) {
		return Sighting{}, false
	}
	flags := frame[offFlags]
	return Sighting{Address: target, MAC: mac, Advertisement: true, Override: flags&flagOverride != 0, Solicited: flags&flagSolicited != 0}, true
}

// advertised returns the target of an advertisement and who has it, and false
// where it is not valid. partial is true for a frame without its checksum.
func advertised(frame []byte, partial bool) (target netip.Addr, mac [6]byte, ok bool) {
	n, r := checkMessage(frame, typeAdvertisement, partial)
	if r != Answered {
		return target, mac, false
	}
	target = ipAt(frame, offTarget)
	if target.IsMulticast() || frame[offDest] == 0xff && frame[offFlags]&flagSolicited != 0 { // RFC 4861 §7.1.2
		return target, mac, false
	}
	mac, ok = advertisedMAC(frame, frame[offOptions:offICMP+n])
	return target, mac, ok
}

// advertisedMAC returns the target link-layer address, or the Ethernet source
// where the option is missing, and false where an option is wrong.
func advertisedMAC(frame, opts []byte) (mac [6]byte, ok bool) {
	mac = macAt(frame, offEtherSrc)
	for len(opts) > 0 {
		if len(opts) < 2 || opts[1] == 0 || int(opts[1])*8 > len(opts) { // RFC 4861 §4.6, §7.1.2
			return mac, false
		}
		if opts[0] == optTargetLinkAddr && opts[1] == 1 {
			mac = macAt(opts, 2)
		}
		opts = opts[int(opts[1])*8:]
	}
	return mac, mac[0]&1 == 0 && mac != [6]byte{}
}

// sight returns the sign in a valid solicitation: its source is an address that
// we would answer for.
func (s *Solicitation) sight(i *Interface, view *rules.View) (Sighting, bool) {
	if s.ether == i.facts.MAC || s.asker == i.facts.MAC || i.Owns(s.source) || !guarded(s.source, view) {
		return Sighting{}, false
	}
	return Sighting{Address: s.source, MAC: s.asker}, true
}

// tentative returns the sign in duplicate address detection that was left unanswered, so
// that the station may take the address: the rule says so, or another node answers.
func (s *Solicitation) tentative(r Reason) (Sighting, bool) {
	if !s.source.IsUnspecified() || r != DADIgnored && r != Silent(rules.NotOwner) {
		return Sighting{}, false
	}
	return Sighting{Address: s.target, MAC: s.ether, Tentative: true}, true
}

// guarded reports whether it matters that another station has an address: we
// answer for it, or are silent because of that station, or because another node
// answers for it.
func guarded(a netip.Addr, view *rules.View) bool {
	if view == nil {
		return false
	}
	v := view.Find(a)
	return v != nil && (v.Hears() || v.Silence == rules.Claimed || v.Silence == rules.NotOwner)
}
