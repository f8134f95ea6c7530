// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"bytes"
	"testing"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/fastpath"
	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// TestProgram puts each frame of the table to the program in the kernel: it answers as
// Respond does, octet for octet, or passes the frame up.
func TestProgram(t *testing.T) {
	v := view(t)
	const loopback = 1 // on which the kernel runs programs for tests
	iface := ndp.NewInterface(Link(loopback), rules.Uplink{Interface: "uplink"})
	p, err := fastpath.Load(true)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = p.Close() }()
	if err := p.SetInterface(iface); err != nil {
		t.Fatal(err)
	}
	if err := p.SetView(v, nil); err != nil {
		t.Fatal(err)
	}
	if err := p.Believe(time.Minute, time.Minute); err != nil {
		t.Fatal(err)
	}
	answered := 0
	for _, c := range Cases() {
		for _, xdp := range []bool{false, true} {
			frame, meta := c.Frame.Received(loopback)
			if len(frame) < 54 || meta.VLAN != 0 { // which the kernel does not run, or tells beside the frame
				continue
			}
			var reply ndp.Advertisement
			var s ndp.Solicitation
			res := ndp.Respond(&reply, &s, frame, meta, iface, v)
			got, err := p.Run(frame, xdp)
			if err != nil {
				t.Errorf("%s %s: %v", c.ID, c.Name, err)
				continue
			}
			if got == nil {
				continue
			}
			answered++
			if res.Reason != ndp.Answered || !bytes.Equal(got, reply[:]) {
				t.Errorf("%s %s: xdp %v: program answers, Respond says %s\n% x\n% x", c.ID, c.Name, xdp, res.Reason, got, reply)
			}
		}
	}
	if answered == 0 {
		t.Error("the program has answered nothing")
	}
}
