// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"net/netip"
	"testing"
	"time"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// TestProgramConsumes has the program keep from the kernel what it does not answer and the
// rules cover, only while the daemon gives signs of life: afterwards the kernel answers for
// an address that the host was given since. What is answered is so for longer.
func TestProgramConsumes(t *testing.T) {
	p := newProgram(t)
	added := addr("2001:db8:1:0:b::7") // an address that the host is given
	known := Link(index)
	known.Addresses = append(known.Addresses, rules.LinkAddress{Prefix: single(added), Usable: true})
	multicast := func(a netip.Addr) Frame { return solicitation(a) }
	unicast := func(a netip.Addr) Frame {
		return solicitation(a, func(f *Frame) { f.EtherDst, f.Dest = NodeMAC, a })
	}
	const alive, dead, ended = "alive", "dead, and believed", "dead, and believed no longer"
	hold := map[string][2]time.Duration{alive: {time.Hour, time.Hour}, dead: {time.Hour, -time.Second}, ended: {-time.Second, -time.Second}}
	silent, none := addr("2001:db8:1:0:b::5"), addr("2001:db8:7::7")
	for _, c := range []struct {
		name               string
		link               rules.Link
		frame              Frame
		state              string
		answered, consumed bool
	}{
		{name: "answered", frame: unicast(Pod), state: alive, answered: true},
		{name: "answered", frame: unicast(Pod), state: dead, answered: true},
		{name: "answered", frame: unicast(Pod), state: ended},
		{name: "unanswered", frame: unicast(silent), state: alive, consumed: true},
		{name: "unanswered", frame: unicast(silent), state: dead},
		{name: "unanswered", frame: unicast(silent), state: ended},
		{name: "bad checksum", frame: corrupt(unicast(Pod)), state: alive, consumed: true},
		{name: "bad checksum", frame: corrupt(unicast(Pod)), state: dead},
		{name: "by multicast", frame: multicast(silent), state: alive},
		{name: "by multicast", frame: multicast(Pod), state: dead, answered: true},
		{name: "denied", frame: unicast(Denied), state: alive},
		{name: "without a rule", frame: unicast(none), state: alive},
		{name: "own", frame: unicast(NodeAddr), state: alive},
		{name: "own", frame: unicast(NodeAddr), state: dead},
		{name: "own and new", frame: unicast(added), state: alive, consumed: true}, // until the daemon has heard of it
		{name: "own and new", frame: unicast(added), state: dead},
		{name: "own and new, by multicast", frame: multicast(added), state: dead},
		{name: "own and heard of", link: known, frame: unicast(added), state: alive},
		{name: "own and heard of", link: known, frame: unicast(added), state: dead},
	} {
		t.Run(c.name+", "+c.state, func(t *testing.T) {
			if c.link.Name == "" {
				c.link = Link(index)
			}
			p.set(t, c.link, rules.Uplink{Interface: "uplink", ConsumeUnicast: true}, view(t))
			must(t, p.Believe(hold[c.state][0], hold[c.state][1]))
			frame, _ := c.frame.Received(index)
			must(t, p.node.Do(func() error {
				got, err := p.Run(frame, false, p.node.index)
				if err != nil {
					return err
				}
				consumed, err := p.Consumes(frame, p.node.index)
				if (got != nil) != c.answered || consumed != c.consumed {
					t.Errorf("answered %t, consumed %t", got != nil, consumed)
				}
				return err
			}))
		})
	}
}

func corrupt(f Frame) Frame {
	f.Corrupt = true
	return f
}
