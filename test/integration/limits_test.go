// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

// TestDelayInFlood asks for targets of a rule with a delay beside 20,000 others a
// second: the queue of delayed answers is full all the time.
func TestDelayInFlood(t *testing.T) {
	t.Parallel()
	n := harness.NewNetwork(t)
	d := harness.StartProgram(t, n.Node, harness.PlainBinary(t), "run", "--config", harness.WriteConfig(t, "version: 1\n"+
		"uplinks: [{interface: uplink}]\nrules: [{prefix: '2001:db8:1:0:f::/80', method: static, delay: 500ms}, {prefix: '2001:db8:2::/64', method: static}]\n"))
	d.WaitReady()
	newAsker(t, n).WantAnswer(conformance.Pod)
	const targets = 50
	router := harness.NewSteady(t, n.Router, harness.RouterPort, addr("2001:db8:2::1"))
	stop := harness.Flood(t, n.Router, harness.RouterPort, 20_000, scanFrames(60_000))
	time.Sleep(time.Second)
	var got atomic.Int32
	var wait sync.WaitGroup
	for i := range targets {
		wait.Go(func() {
			if harness.AskOnce(t, n.Router, harness.RouterPort, conformance.Solicitation(nth(i)), 2*time.Second) {
				got.Add(1)
			}
		})
		time.Sleep(20 * time.Millisecond)
	}
	wait.Wait()
	t.Logf("%d of %d were answered, beside %d solicitations", got.Load(), targets, stop())
	if got.Load() < targets*9/10 {
		t.Errorf("%d of %d were answered", got.Load(), targets)
	}
	router.Stop("a flood of delayed answers")
}

// TestForgedAsker has somebody ask by the router's MAC address, of which each asker
// may ask 50 times a second. The router itself loses nothing.
func TestForgedAsker(t *testing.T) {
	t.Parallel()
	for name, forge := range map[string]func(i int, f *conformance.Frame){
		"by other source addresses": func(i int, f *conformance.Frame) { f.Source = nth(i) },
		"from other MAC addresses": func(i int, f *conformance.Frame) {
			f.EtherSrc = conformance.MAC{2, 0, 7, byte(i >> 16), byte(i >> 8), byte(i)}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := harness.NewNetwork(t)
			route(t, n.Node, "::/0", harness.Uplink, n.Node.Link.RouteAdd, func(r *netlink.Route) { r.Gw = conformance.RouterAddr.AsSlice() })
			// The node knows its router, as any node that sends does.
			pinger, err := n.Node.NewPinger(conformance.RouterAddr)
			harness.Must(t, err)
			_, err = pinger.Ping(t.Context(), harness.Patience)
			harness.Must(t, err)
			pinger.Close()
			d := harness.StartProgram(t, n.Node, harness.PlainBinary(t), "run", "--config", harness.WriteConfig(t, "version: 1\n"+
				"uplinks: [{interface: uplink, limit_per_asker: 50}]\nrules: [{prefix: '2001:db8:1:0:f::/80', method: static}]\n"))
			d.WaitReady()
			newAsker(t, n).WantAnswer(conformance.Pod)
			stop := harness.Flood(t, n.Router, harness.RouterPort, 2000, harness.Frames(10_000, func(i int) conformance.Frame {
				f := conformance.Solicitation(conformance.Pod)
				forge(i, &f)
				return f
			}))
			time.Sleep(200 * time.Millisecond)
			router := harness.NewSteady(t, n.Router, harness.RouterPort, addr("2001:db8:1:0:f::6"))
			router.For(80)
			router.Stop("an asker of 2,000 a second in its name")
			stop()
		})
	}
}

// TestDADFlood defends addresses beside 5,000 duplicate address detections a second.
func TestDADFlood(t *testing.T) {
	t.Parallel()
	for name, forge := range map[string]func(i int) conformance.Frame{
		"by one station for many addresses": func(i int) conformance.Frame {
			f := conformance.Probe(nth(10_000 + i%256))
			f.EtherSrc = forgerMAC
			return f
		},
		"by many stations for one address": func(i int) conformance.Frame {
			f := conformance.Probe(nth(10_000))
			f.EtherSrc = conformance.MAC{2, 0, 7, byte(i >> 16), byte(i >> 8), byte(i)}
			return f
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := harness.NewNetwork(t)
			d := harness.StartProgram(t, n.Node, harness.PlainBinary(t), "run", "--interface", harness.Uplink, "--rule", podRule)
			d.WaitReady()
			newAsker(t, n).WantAnswer(conformance.Pod)
			router := harness.NewSteady(t, n.Router, harness.RouterPort, conformance.Pod)
			stop := harness.Flood(t, n.Router, harness.RouterPort, 5000, harness.Frames(10_000, forge))
			time.Sleep(500 * time.Millisecond)
			const honest = 40
			var defended atomic.Int32
			var wait sync.WaitGroup
			for i := range honest {
				f := conformance.Probe(nth(i))
				f.EtherSrc = conformance.MAC{2, 0, 8, 0, 0, byte(i)}
				wait.Go(func() {
					// RFC 4862 §5.4: the station takes the address after RetransTimer.
					if harness.AskOnce(t, n.Router, harness.RouterPort, f, time.Second) {
						defended.Add(1)
					}
				})
				time.Sleep(20 * time.Millisecond)
			}
			wait.Wait()
			t.Logf("%d of %d addresses were defended, beside %d probes", defended.Load(), honest, stop())
			if defended.Load() < honest*95/100 {
				t.Errorf("%d of %d addresses were defended", defended.Load(), honest)
			}
			router.Stop("5,000 duplicate address detections a second")
		})
	}
}
