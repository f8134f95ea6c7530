// SPDX-License-Identifier: Apache-2.0

package conformance_test

import (
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

// honestMark is octet 10 of the targets that the router asks for.
const honestMark = 0xee

// honest is one of the targets that the router asks for.
func honest(i int) netip.Addr {
	b := conformance.PodPrefix.Addr().As16()
	b[10], b[14], b[15] = honestMark, byte(i>>8), byte(i)
	return netip.AddrFrom16(b)
}

// listenHonest opens a socket on the router that hears the answers for those and
// nothing of the flood.
func listenHonest(t *testing.T, n *harness.Network) *packet.Conn {
	t.Helper()
	filter, err := bpf.Assemble([]bpf.Instruction{
		bpf.LoadAbsolute{Off: 54, Size: 1}, // ICMPv6 type
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 136, SkipTrue: 3},
		bpf.LoadAbsolute{Off: 62 + 10, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: honestMark, SkipTrue: 1},
		bpf.RetConstant{Val: 1 << 16},
		bpf.RetConstant{},
	})
	harness.Must(t, err)
	var conn *packet.Conn
	harness.Must(t, n.Router.Do(func() error {
		ifi, err := net.InterfaceByName(harness.RouterPort)
		if err != nil {
			return err
		}
		conn, err = packet.Listen(ifi, packet.Raw, unix.ETH_P_IPV6, &packet.Config{Filter: filter})
		return err
	}))
	t.Cleanup(func() { conn.Close() })
	return conn
}

// ringRoom is how far the flood may be ahead of the listener: what the kernel loses
// because the ring is full, as it is on a slow machine, tells nothing of the answers.
const ringRoom = 8000

// patience is how long answers may take to leave after the flood: a slow machine has
// a ring full of solicitations to get through, and then the longest delay to wait.
const patience = harness.Patience

// received counts the solicitations that the listener has taken from its ring.
func received(c *ndp.Counters) int {
	n := 0
	for _, k := range ndp.Kinds() {
		n += int(c.Received[k].Load())
	}
	return n
}

// TestAttacks has the router ask for an address every 50 ms, for each once, while
// forged solicitations come in. None of the router's may be lost.
func TestAttacks(t *testing.T) {
	station := func(f *conformance.Frame, i int) { // made up
		f.EtherSrc = conformance.MAC{2, 1, 0, byte(i >> 16), byte(i >> 8), byte(i)}
	}
	tests := []struct {
		name  string
		rate  int // forged solicitations a second
		delay time.Duration
		limit int
		forge func(i int) conformance.Frame
		ask   func(netip.Addr) conformance.Frame
	}{
		{
			name: "delay", rate: 20_000, delay: rules.MaxDelay, ask: conformance.Solicitation,
			forge: func(i int) conformance.Frame { return conformance.Solicitation(target(i)) },
		},
		{
			name: "duplicate address detection", rate: 5000, ask: conformance.Probe,
			forge: func(i int) conformance.Frame {
				f := conformance.Probe(target(i))
				station(&f, i)
				return f
			},
		},
		{
			name: "limit for an asker, in the router's name", rate: 5000, limit: 20, ask: conformance.Solicitation,
			forge: func(i int) conformance.Frame { return conformance.Solicitation(target(i)) },
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			network := harness.NewNetwork(t)
			link, err := network.Node.Link.LinkByName(harness.Uplink)
			harness.Must(t, err)
			table, err := rules.Compile([]rules.Rule{{Prefix: conformance.PodPrefix, Method: rules.Static, Delay: tt.delay}})
			harness.Must(t, err)
			iface := ndp.NewInterface(conformance.Link(link.Attrs().Index), rules.Uplink{Interface: harness.Uplink, LimitPerAsker: tt.limit})
			var l *ndp.Listener
			counters := new(ndp.Counters)
			harness.Must(t, network.Node.Do(func() (err error) {
				l, err = ndp.Listen(ndp.ListenConfig{
					Interface: iface.WithNextHops([]netip.Addr{conformance.RouterAddr}), View: table.View(harness.Uplink), Counters: counters,
				})
				return err
			}))
			defer l.Close()
			harness.Must(t, l.SetAllMulticast(true))

			const every, questioned = 50 * time.Millisecond, 30
			frames := make([][]byte, tt.rate)
			for i := range frames {
				frames[i] = tt.forge(i).Bytes()
			}
			p, answers := harness.OpenPort(t, network.Router, harness.RouterPort), listenHonest(t, network)
			asked := make(chan map[netip.Addr]time.Time, 1)
			go func() { // one goroutine sends, so that the port needs no lock
				at := make(map[netip.Addr]time.Time)
				defer func() { asked <- at }()
				began, sent := time.Now(), 0
				next := began.Add(time.Second) // question
				for len(at) < questioned || time.Since(next) < 500*time.Millisecond {
					elapsed := time.Since(began)
					for ; sent < int(elapsed.Seconds()*float64(tt.rate)) && sent < received(counters)+ringRoom; sent++ {
						p.Send(frames[sent%len(frames)])
					}
					if now := time.Now(); len(at) < questioned && now.After(next) {
						a := honest(len(at))
						at[a], next = now, now.Add(every)
						p.Send(tt.ask(a).Bytes())
					}
					time.Sleep(time.Millisecond)
				}
			}()
			got := make(map[netip.Addr]time.Time)
			var questions map[netip.Addr]time.Time
			giveUp := time.Now().Add(2 * patience) // the flood takes a part of it
			for buf := make([]byte, 2048); questions == nil || len(got) < len(questions) && time.Now().Before(giveUp); {
				harness.Must(t, answers.SetReadDeadline(time.Now().Add(every)))
				switch n, _, err := answers.ReadFrom(buf); {
				case os.IsTimeout(err):
				default:
					harness.Must(t, err)
					got[netip.AddrFrom16([16]byte(buf[62:min(n, 78)]))] = time.Now()
				}
				select {
				case questions = <-asked:
				default:
				}
			}
			var took []time.Duration
			for a, at := range questions {
				if answered, ok := got[a]; ok {
					took = append(took, answered.Sub(at))
				}
			}
			if len(questions) != questioned || len(took) != len(questions) {
				t.Fatalf("%d of %d of the router's solicitations were answered", len(took), len(questions))
			}
			slices.Sort(took)
			t.Logf("%d of %d answered, median %s, p99 %s", len(took), len(questions), took[len(took)/2], took[len(took)*99/100])
		})
	}
}
