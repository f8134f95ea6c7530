// SPDX-License-Identifier: Apache-2.0

package kernels

import (
	"bytes"
	"cmp"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/internal/fastpath"
	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

// fact begins a line that tells TestKernels what a kernel did.
const fact = "kernels: "

// TestWays attaches the program of an uplink in each way, and asks it from the other end of
// the link: what it answers is what Respond answers, and it and no other has answered. Where
// the kernel is too old for the program, the packet socket answers the same.
func TestWays(t *testing.T) {
	tooOld := describeKernel(t)
	for _, c := range []struct {
		mode rules.FastPathMode
		way  ndp.Way
	}{
		{rules.FastPathOff, ndp.WaySocket},
		{rules.FastPathAuto, ndp.WayTC},
		{rules.FastPathTC, ndp.WayTC},
		{rules.FastPathXDP, ndp.WayXDP},
		{rules.FastPathXDPGeneric, ndp.WayXDPGeneric},
	} {
		t.Run(c.mode.String(), func(t *testing.T) {
			want := c.way
			if tooOld {
				want = ndp.WaySocket
			}
			n := harness.NewNetwork(t)
			if want != ndp.WaySocket {
				letAnswersIn(t, n)
			}
			var counters ndp.Counters
			r, iface, view := listen(t, n, harness.BPFFS(t), c.mode, &counters)
			defer func() { harness.Must(t, r.Close()) }()
			path := r.Path()
			fmt.Printf("%sfast_path: %s is %s\n", fact, c.mode, cmp.Or(path.Hook, path.Way.String()))
			if path.Way != want {
				t.Fatalf("%s answers, want %s; %s", path.Way, want, path.Why)
			}
			if want != c.way && !strings.Contains(path.Why, "takes Linux 5.11") {
				t.Errorf("why the program does not answer: %q", path.Why)
			}
			checkAnswers(t, harness.OpenPort(t, n.Router, harness.RouterPort), iface, view)
			harness.Must(t, r.CountDrops())
			m, u := counters.ByProgram[ndp.Multicast].Load(), counters.ByProgram[ndp.Unicast].Load()
			if by := want != ndp.WaySocket; by != (m == 3 && u == 1) || !by && m+u > 0 {
				t.Errorf("the program has answered %d multicast and %d unicast solicitations of 3 and 1", m, u)
			}
		})
	}
}

// describeKernel prints which kernel runs, and tells whether it is too old for the program,
// which calls a helper function of Linux 5.11.
func describeKernel(t *testing.T) (tooOld bool) {
	t.Helper()
	var u unix.Utsname
	harness.Must(t, unix.Uname(&u))
	release := unix.ByteSliceToString(u.Release[:])
	fmt.Printf("%sLinux %s\n", fact, release)
	var major, minor int
	if _, err := fmt.Sscanf(release, "%d.%d", &major, &minor); err != nil {
		t.Fatalf("read release %s: %v", release, err)
	}
	return major < 5 || major == 5 && minor < 11
}

// checkAnswers asks in several forms, and compares the answers with those of Respond.
func checkAnswers(t *testing.T, port *harness.Port, iface *ndp.Interface, view *rules.View) {
	t.Helper()
	for _, f := range []conformance.Frame{
		conformance.Solicitation(target(1)), unicast(target(2)), withoutOption(target(3)), withNonce(target(4)),
	} {
		want := respond(t, f, iface, view)
		if got := ask(port, f); !bytes.Equal(got, want) {
			t.Errorf("answer to the solicitation for %s is\n% x, want\n% x", f.Target, got, want)
		}
	}
}

// TestOutlives ends the daemon's part of each way, as a restart does: the program goes on to
// answer, the next daemon takes it over, and none answers once that has given the uplink up.
func TestOutlives(t *testing.T) {
	if describeKernel(t) {
		return // no program, which TestWays shows
	}
	for _, mode := range []rules.FastPathMode{rules.FastPathTC, rules.FastPathXDP, rules.FastPathXDPGeneric} {
		t.Run(mode.String(), func(t *testing.T) {
			n := harness.NewNetwork(t)
			letAnswersIn(t, n)
			port, directory := harness.OpenPort(t, n.Router, harness.RouterPort), harness.BPFFS(t)
			var counters ndp.Counters
			first, iface, view := listen(t, n, directory, mode, &counters)
			before := first.Path()
			if before.Pinned == "" {
				t.Fatalf("%s is not pinned: %s", before.Hook, before.Unpinned)
			}
			harness.Must(t, first.Hold())
			checkAnswers(t, port, iface, view)

			next, iface, view := listen(t, n, directory, mode, &counters)
			if after := next.Path(); after.Pinned != before.Pinned || after.Hook != before.Hook {
				t.Errorf("the next daemon has %s in %q (%s), after %s in %q", after.Hook, after.Pinned, after.Why, before.Hook, before.Pinned)
			}
			next.Settle()
			checkAnswers(t, port, iface, view)
			harness.Must(t, next.Close())
			checkSilence(t, port, target(5))
		})
	}
}

// checkSilence asks for a target and then for the node's own address: whoever answers for the
// former has done so when the kernel answers for the latter.
func checkSilence(t *testing.T, port *harness.Port, target netip.Addr) {
	t.Helper()
	port.Send(conformance.Solicitation(target).Bytes())
	port.Send(conformance.Solicitation(conformance.NodeAddr).Bytes())
	frames := port.Advertisements(time.Minute, func(got []byte) bool { return [16]byte(got[62:78]) == conformance.NodeAddr.As16() })
	if len(frames) == 0 {
		t.Fatal("the node's kernel does not answer for its own address")
	}
	for _, f := range frames {
		if [16]byte(f[62:78]) == target.As16() {
			t.Errorf("answer for %s: % x", target, f)
		}
	}
}

// listen answers on the network's node.
func listen(t *testing.T, n *harness.Network, directory string, mode rules.FastPathMode, counters *ndp.Counters) (ndp.Responder, *ndp.Interface, *rules.View) {
	t.Helper()
	device, err := n.Node.Link.LinkByName(harness.Uplink)
	harness.Must(t, err)
	table, err := rules.Compile(conformance.Rules())
	harness.Must(t, err)
	iface := ndp.NewInterface(conformance.Link(device.Attrs().Index), rules.Uplink{Interface: harness.Uplink, FastPath: mode})
	var r ndp.Responder
	harness.Must(t, n.Node.Do(func() (err error) {
		r, err = fastpath.Listen(ndp.ListenConfig{
			Interface: iface, View: table.View(harness.Uplink), Counters: counters, Recent: new(ndp.Recent),
		}, fastpath.Options{Directory: directory, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
		return err
	}))
	return r, iface, table.View(harness.Uplink)
}

// letAnswersIn puts a program of XDP on the router's end, which passes everything: a veth
// takes what the other end's program sends by XDP_TX only if it has one itself.
func letAnswersIn(t *testing.T, n *harness.Network) {
	t.Helper()
	harness.Must(t, n.Router.Do(func() error {
		device, err := netlink.LinkByName(harness.RouterPort)
		if err != nil {
			return err
		}
		p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
			Type: ebpf.XDP, License: "Apache-2.0", Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 2), asm.Return()}, // XDP_PASS
		})
		if err != nil {
			return err
		}
		t.Cleanup(func() { _ = p.Close() })
		l, err := link.AttachXDP(link.XDPOptions{Program: p, Interface: device.Attrs().Index, Flags: link.XDPDriverMode})
		if err != nil {
			return err
		}
		t.Cleanup(func() { _ = l.Close() })
		return nil
	}))
}

// target returns an address of the pods, another one for each number.
func target(i byte) netip.Addr {
	a := conformance.PodPrefix.Addr().As16()
	a[15] = i
	return netip.AddrFrom16(a)
}

func unicast(a netip.Addr) conformance.Frame {
	f := conformance.Solicitation(a)
	f.EtherDst, f.Dest = conformance.NodeMAC, a
	return f
}

func withoutOption(a netip.Addr) conformance.Frame {
	f := conformance.Solicitation(a)
	f.Options = nil
	return f
}

// withNonce adds the option of RFC 3971 §5.3.2.
func withNonce(a netip.Addr) conformance.Frame {
	f := conformance.Solicitation(a)
	f.Options = append(f.Options, 14, 1, 1, 2, 3, 4, 5, 6)
	return f
}

// respond returns what the packet socket would answer.
func respond(t *testing.T, f conformance.Frame, iface *ndp.Interface, view *rules.View) []byte {
	t.Helper()
	frame, meta := f.Received(iface.Facts().Index)
	var reply ndp.Advertisement
	var s ndp.Solicitation
	if result := ndp.Respond(&reply, &s, frame, meta, iface, view); result.Reason != ndp.Answered {
		t.Fatalf("Respond does not answer for %s: %s", f.Target, result.Reason)
	}
	return reply[:]
}

// ask sends a solicitation and returns the answer to it, nil if none comes.
func ask(port *harness.Port, f conformance.Frame) []byte {
	port.Send(f.Bytes())
	want := f.Target.As16()
	frames := port.Advertisements(time.Minute, func(got []byte) bool { return [16]byte(got[62:78]) == want })
	if len(frames) == 0 {
		return nil
	}
	return frames[len(frames)-1]
}
