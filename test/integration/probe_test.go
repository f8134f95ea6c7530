// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"net/netip"
	"testing"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/lab"
	"github.com/ndproxyd/ndproxyd/internal/status"
	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

// probed is a network with a wide on-link route to the pods' device, and the far
// end of that.
func probed(t *testing.T) (*harness.Network, *lab.Namespace) {
	t.Helper()
	n := harness.NewNetwork(t)
	pods := device(t, n.Node, "pods")
	route(t, n.Node, "2001:db8:1:0:f::/80", "pods", n.Node.Link.RouteAdd)
	return n, pods
}

const probeRule = "2001:db8:1:0:f::/80=probe"

// TestProbe follows a pod through its life.
func TestProbe(t *testing.T) {
	t.Parallel()
	n, pods := probed(t)
	d := harness.Run(t, n.Node, "--config", harness.WriteConfig(t,
		"version: 1\nuplinks: [{interface: uplink}]\nrules:\n  - {prefix: \"2001:db8:1:0:f::/80\", method: probe, ttl: 1s, timeout: 500ms, retries: 3, deadtime: 1s}\n"))
	a := newAsker(t, n)
	if f := a.Ask(conformance.Pod, harness.Quiet); f != nil {
		t.Fatalf("an absent pod is answered for: % x", f)
	}
	d.Wait("missing answer", func(s status.Status) bool { return s.Uplinks[0].Ignored["no_neighbor"] == 1 })

	t.Log("the pod comes, and several routers wait for it")
	harness.Must(t, pods.Address("eth0", conformance.Pod.String()+"/80"))
	a.WantAnswer(conformance.Pod)
	t.Log("a living pod is asked again, and answered for all the time")
	for end := time.Now().Add(3 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		if a.Ask(conformance.Pod, harness.Patience) == nil {
			t.Fatal("a gap in the answers")
		}
	}
	asked, begin := 0, time.Now()
	for range harness.OpenPort(t, pods, "eth0").Solicitations(2*time.Second, conformance.Pod) {
		asked++
	}
	if took := time.Since(begin); asked < 1 || asked > 1+int(took/time.Second) {
		t.Errorf("a living pod was asked %d times in %s", asked, took)
	}

	t.Log("the pod goes")
	harness.Must(t, pods.Down("eth0"))
	a.WantSilence(conformance.Pod)
	if e := d.Explain(conformance.Pod); e.Answers[0].Reason != "no_route" && e.Answers[0].Reason != "probing" {
		t.Errorf("explained as %+v", e.Answers[0])
	}
}

// TestProbeWaiting asks by two routers for a pod that takes its time.
func TestProbeWaiting(t *testing.T) {
	t.Parallel()
	n, pods := probed(t)
	// The routers wait for twenty seconds, so that a busy machine gives the pod its address
	// in time.
	d := harness.Run(t, n.Node, "--config", harness.WriteConfig(t,
		"version: 1\nuplinks: [{interface: uplink}]\nrules:\n  - {prefix: \"2001:db8:1:0:f::/80\", method: probe, timeout: 2s, retries: 10}\n"))
	a := newAsker(t, n)
	first, second := conformance.Solicitation(conformance.Pod), conformance.Solicitation(conformance.Pod)
	second.EtherSrc, second.Source = conformance.MAC{2, 0, 0, 0, 0, 0x31}, addr("2001:db8:1::fe")
	copy(second.Options[2:], second.EtherSrc[:])
	a.Port.Send(first.Bytes())
	a.Port.Send(second.Bytes())
	d.Wait("both", func(s status.Status) bool { return s.Uplinks[0].Received == 2 })
	harness.Must(t, pods.Address("eth0", conformance.Pod.String()+"/80"))
	asked := make(map[[6]byte]bool)
	a.Port.Advertisements(harness.Patience, func(f []byte) bool {
		if f[58]&0x40 != 0 {
			asked[[6]byte(f[:6])] = true
		}
		return len(asked) == 2
	})
	if !asked[conformance.RouterMAC] || !asked[second.EtherSrc] {
		t.Errorf("answers went to %v", asked)
	}
}

// TestProbeEvents cuts a missing answer short by a change of the route. The timeout is long
// enough for an answer on a machine that is busy: one that comes too late is missing, too.
func TestProbeEvents(t *testing.T) {
	t.Parallel()
	n, pods := probed(t)
	device(t, n.Node, "other")
	d := harness.Run(t, n.Node, "--config", harness.WriteConfig(t,
		"version: 1\nuplinks: [{interface: uplink}]\nrules:\n  - {prefix: \"2001:db8:1:0:f::/80\", method: probe, timeout: 1s, retries: 0}\n"))
	a := newAsker(t, n)
	a.Ask(conformance.Pod, harness.Quiet)
	d.Wait("missing answer", func(s status.Status) bool { return s.Uplinks[0].Ignored["no_neighbor"] == 1 })
	harness.Must(t, pods.Address("eth0", conformance.Pod.String()+"/80"))
	route(t, n.Node, conformance.Pod.String()+"/128", "pods", n.Node.Link.RouteAdd)
	begin, stalled := time.Now(), harness.Stalled()
	a.WantAnswer(conformance.Pod)
	if took := time.Since(begin) - (harness.Stalled() - stalled); took > 2*time.Second { // 3 s without the event
		t.Errorf("answered after %s", took)
	}
	t.Log("the route moves to a device where the pod is not")
	route(t, n.Node, conformance.Pod.String()+"/128", "other", n.Node.Link.RouteReplace)
	a.WantSilence(conformance.Pod)
	t.Log("a device that vanishes while its targets are asked for")
	for i := range 50 {
		target := conformance.PodPrefix.Addr().As16()
		target[15] = byte(0x40 + i)
		a.Port.Send(conformance.Solicitation(netip.AddrFrom16(target)).Bytes())
	}
	harness.Must(t, n.Node.Delete("pods"))
	a.WantSilence(addr("2001:db8:1:0:f::41"))
	d.Wait("an end of all waiting", func(s status.Status) bool {
		u := s.Uplinks[0]
		sum := u.Answered
		for _, n := range u.Ignored {
			sum += n
		}
		return sum == u.Received
	})
}

// TestProbeOnDevice asks on a device that the rule names, and which is missing at
// first.
func TestProbeOnDevice(t *testing.T) {
	t.Parallel()
	n := harness.NewNetwork(t)
	harness.Run(t, n.Node, "--config", harness.WriteConfig(t,
		"version: 1\nuplinks: [{interface: uplink}]\nrules:\n  - {prefix: \"2001:db8:1:0:f::/80\", method: probe, devices: [tap0, tap1]}\n"))
	a := newAsker(t, n)
	if f := a.Ask(conformance.Pod, harness.Quiet); f != nil {
		t.Fatalf("answered without the devices: % x", f)
	}
	device(t, n.Node, "tap0")
	far := device(t, n.Node, "tap1")
	harness.Must(t, far.Address("eth0", conformance.Pod.String()+"/80"))
	a.WantAnswer(conformance.Pod)
	harness.Must(t, n.Node.Delete("tap1"))
	a.WantSilence(conformance.Pod)
}

// TestProbeWithoutIP is a daemon that may not use IP, as under our systemd unit:
// answers are heard all the same.
func TestProbeWithoutIP(t *testing.T) {
	t.Parallel()
	n, pods := probed(t)
	harness.Must(t, pods.Address("eth0", conformance.Pod.String()+"/80"))
	config := harness.WriteConfig(t, "version: 1\nuplinks: [{interface: uplink}]\nrules:\n  - {prefix: \"2001:db8:1:0:f::/80\", method: deny}\n")
	d := harness.RunWalled(t, n.Node, "--config", config)
	a := newAsker(t, n)
	a.WantSilence(conformance.Pod)
	harness.ReplaceIn(t, config, "deny}", "probe}")
	d.Reload()
	a.WantAnswer(conformance.Pod)
}

// TestProxiesDoNotProbeEachOther has two daemons on one link, with one prefix.
func TestProxiesDoNotProbeEachOther(t *testing.T) {
	t.Parallel()
	n := harness.NewNetwork(t)
	harness.Must(t, n.Router.Sysctl("net/ipv6/conf/all/forwarding", "1"))
	harness.Run(t, n.Node, "--interface", harness.Uplink, "--rule", podRule)
	harness.Run(t, n.Router, "--interface", harness.RouterPort, "--rule", podRule)
	a := newAsker(t, n)
	node := harness.OpenPort(t, n.Node, harness.Uplink)
	a.Port.Send(conformance.Solicitation(conformance.Pod).Bytes())
	if got := a.Port.Solicitations(time.Second, conformance.Pod); len(got) != 0 {
		t.Errorf("the node asks: % x", got)
	}
	if got := node.Solicitations(time.Second, conformance.Pod); len(got) > 1 {
		t.Errorf("the node hears %d solicitations, want the one", len(got))
	}
}
