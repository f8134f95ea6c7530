// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/fastpath"
	"github.com/ndproxyd/ndproxyd/internal/lab"
	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// node is a namespace with a device that has the MAC address of the table's node, so that
// the kernel takes the table's frames for what they are there.
type node struct {
	*lab.Namespace
	index int
}

func newNode(t testing.TB) *node {
	t.Helper()
	n, peer := &node{}, (*lab.Namespace)(nil)
	for _, ns := range []**lab.Namespace{&n.Namespace, &peer} {
		var err error
		if *ns, err = lab.New(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup((*ns).Close)
	}
	must(t, n.Veth("uplink", NodeMAC, peer, "link", RouterMAC))
	must(t, n.Do(func() error {
		i, err := net.InterfaceByName("uplink")
		if err == nil {
			n.index = i.Index
		}
		return err
	}))
	return n
}

// program is the program in the kernel with a table and facts.
type program struct {
	*fastpath.Program
	node  *node
	iface *ndp.Interface
	view  *rules.View
}

// newProgram loads a program.
func newProgram(t testing.TB) *program {
	t.Helper()
	return newProgramOn(t, newNode(t))
}

// newProgramOn loads a program for a node.
func newProgramOn(t testing.TB, n *node) *program {
	t.Helper()
	loaded, err := fastpath.Load(true)
	must(t, err)
	t.Cleanup(func() { _ = loaded.Close() })
	must(t, loaded.Believe(time.Hour, time.Hour))
	return &program{Program: loaded, node: n}
}

// set gives the program facts and a table.
func (p *program) set(t testing.TB, link rules.Link, u rules.Uplink, v *rules.View) {
	t.Helper()
	link.Index = p.node.index
	p.iface, p.view = ndp.NewInterface(link, u), v
	must(t, p.SetInterface(p.iface))
	must(t, p.SetView(v, nil))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// longestRun is a length up to which the kernel runs a program for tests: a frame has to
// fit into a page. TestWire sends longer ones than the program reads.
const longestRun = 2048

// shortest is the shortest frame that the kernel runs a program on: an IPv6 header.
const shortest = offICMP

// check puts a frame to Respond and to the program, by tc and by XDP: the program answers
// with the same octets, or passes the frame up, and does so where it has to.
func (p *program) check(t *testing.T, frame []byte, meta ndp.Meta) {
	t.Helper()
	must(t, p.node.Do(func() error { return p.differs(frame, meta) }))
}

// differs is check for a thread in the node's namespace: it returns what is wrong.
func (p *program) differs(frame []byte, meta ndp.Meta) error {
	if len(frame) < shortest || len(frame) > longestRun || meta.VLAN != 0 { // a tag beside the frame is for TestWire
		return nil
	}
	meta.Index = p.node.index
	var reply ndp.Advertisement
	var s ndp.Solicitation
	res := ndp.Respond(&reply, &s, frame, meta, p.iface, p.view)
	for _, xdp := range []bool{false, true} {
		got, err := p.Run(frame, xdp, p.node.index)
		switch {
		case err != nil:
			return err
		case got == nil && inKernel(frame, meta, res):
			return fmt.Errorf("the program (XDP %t) leaves to the socket what it has to answer: % x", xdp, frame)
		case got == nil:
		case res.Reason != ndp.Answered || res.Delay > 0 || res.Hold > 0:
			return fmt.Errorf("the program (XDP %t) answers % x with % x, and Respond says %s", xdp, frame, got, res.Reason)
		case !bytes.Equal(got, reply[:]):
			return fmt.Errorf("the program (XDP %t) answers % x with\n% x\nwant\n% x", xdp, frame, got, reply)
		}
	}
	return nil
}

// offICMP, and where else the test looks at a frame itself.
const (
	offPayloadLen = 18
	offDest       = 38
	offICMP       = 54
	offTarget     = 62
	longest       = 78 + 8*8 // options of 8 units
)

// inKernel reports whether the program has to answer, as docs/conformance.md says: what is
// answered at once, to a station with an address, in the form in which stations ask.
func inKernel(frame []byte, meta ndp.Meta, res ndp.Result) bool {
	if res.Reason != ndp.Answered || res.Kind == ndp.DAD || res.Kind == ndp.Presence || res.Delay > 0 || meta.ChecksumPartial {
		return false
	}
	whole := len(frame) == offICMP+int(frame[offPayloadLen])<<8+int(frame[offPayloadLen+1])
	return whole && len(frame) <= longest && (frame[offDest] == 0xff || bytes.Equal(frame[offDest:offDest+16], frame[offTarget:offTarget+16]))
}

// TestProgram puts each frame of the table to the program.
func TestProgram(t *testing.T) {
	p := newProgram(t)
	p.set(t, Link(index), rules.Uplink{Interface: "uplink"}, view(t))
	for _, c := range Cases() {
		t.Run(c.ID+" "+c.Name, func(t *testing.T) {
			frame, meta := c.Frame.Received(index)
			p.check(t, frame, meta)
		})
	}
}

// TestProgramPolicy does so with the settings and links of the policy cases.
func TestProgramPolicy(t *testing.T) {
	p := newProgram(t)
	table, err := rules.Compile(append(Rules(), delayed()))
	must(t, err)
	for _, c := range policyCases() {
		t.Run(c.name, func(t *testing.T) {
			link, v := Link(index), table.View("uplink")
			if c.link != nil {
				c.link(&link)
			}
			if c.noView {
				v = nil
			}
			frame, meta := c.frame.Received(index)
			if c.meta != nil {
				c.meta(&meta)
			}
			if meta.Index != index || meta.Type == ndp.PacketOutgoing {
				return // which never reach the program
			}
			p.set(t, link, c.uplink, v)
			p.check(t, frame, meta)
		})
	}
}

// TestProgramOwn has as many addresses of the interface's own within a prefix that is answered
// for as the program takes: for these nobody but the kernel answers, and they are not answered
// to. Targets and askers beside them are, whether or not they share a bit of the filter.
func TestProgramOwn(t *testing.T) {
	p := newProgram(t)
	link := Link(index)
	beside := func(i int) netip.Addr { // the own addresses are every 256th
		a := PodPrefix.Addr().As16()
		a[12], a[14], a[15] = 1, byte(i>>8), byte(i)
		return netip.AddrFrom16(a)
	}
	const own = 14 // with the node's two these are 16
	for i := range own {
		link.Addresses = append(link.Addresses, rules.LinkAddress{Prefix: netip.PrefixFrom(beside(i<<8), 128), Usable: true})
	}
	p.set(t, link, rules.Uplink{Interface: "uplink", Source: rules.SourceLinkLocal}, view(t))
	must(t, p.node.Do(func() error {
		for i := range own << 8 {
			for _, f := range []Frame{solicitation(beside(i)), pod(func(f *Frame) { f.Source = beside(i) })} {
				frame, meta := f.Received(index)
				if err := p.differs(frame, meta); err != nil {
					return err
				}
				if got, err := p.Run(frame, true, p.node.index); err != nil || (got == nil) != (i%256 == 0) {
					return fmt.Errorf("%s beside the own addresses: got % x, %w", beside(i), got, err)
				}
			}
		}
		return nil
	}))
}

// TestProgramBelief shows that the program answers only while the daemon's sign of life is
// young.
func TestProgramBelief(t *testing.T) {
	p := newProgram(t)
	p.set(t, Link(index), rules.Uplink{Interface: "uplink"}, view(t))
	frame, _ := pod().Received(index)
	for _, c := range []struct {
		name string
		hold time.Duration
		want bool
	}{{"alive", time.Hour, true}, {"dead", -time.Second, false}, {"alive again", time.Hour, true}} {
		t.Run(c.name, func(t *testing.T) {
			must(t, p.Believe(c.hold, c.hold))
			for _, xdp := range []bool{false, true} {
				must(t, p.node.Do(func() error {
					got, err := p.Run(frame, xdp, p.node.index)
					if (got != nil) != c.want {
						t.Errorf("answered: %t", got != nil)
					}
					return err
				}))
			}
		})
	}
}
