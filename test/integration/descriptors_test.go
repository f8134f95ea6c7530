// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/internal/status"
	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

// TestOutOfDescriptors leaves the daemon no descriptor more than it has. It waits, and
// goes on once there are some again.
func TestOutOfDescriptors(t *testing.T) {
	t.Parallel()
	n := harness.NewNetwork(t)
	device(t, n.Node, "pods")
	d := harness.Run(t, n.Node, "--interface", harness.Uplink, "--rule", routeRule)
	p := harness.OpenPort(t, n.Router, harness.RouterPort)
	follows(t, n.Node, "pods", p, 0, 1)
	_, _ = d.Get("/metrics") // the endpoint is open
	router := harness.NewSteady(t, n.Router, harness.RouterPort, nth(0))
	var before unix.Rlimit
	harness.Must(t, unix.Prlimit(d.Process.Pid, unix.RLIMIT_NOFILE, nil, &before))
	harness.Must(t, unix.Prlimit(d.Process.Pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 3, Max: before.Max}, nil))
	t.Log("links and routes change, and somebody calls")
	link, err := n.Node.Link.LinkByName(harness.Uplink)
	harness.Must(t, err)
	for i := range 10 {
		device(t, n.Node, "new"+string(rune('a'+i)))
		route(t, n.Node, nth(1+i).String()+"/128", "pods", n.Node.Link.RouteAdd)
		harness.Must(t, n.Node.Link.LinkSetMTU(link, 1500-i))
		_, _ = d.Client.Status(shortly(t))
	}
	time.Sleep(time.Second)
	if d.Ended() {
		t.Fatalf("out of descriptors the daemon ended: %s", d.Log())
	}
	router.Stop("a lack of descriptors")
	t.Log("there are descriptors again")
	harness.Must(t, unix.Prlimit(d.Process.Pid, unix.RLIMIT_NOFILE, &before, nil))
	d.WaitReady()
	follows(t, n.Node, "pods", p, 100, 1)
	harness.Must(t, n.Node.Link.LinkSetHardwareAddr(link, conformance.OtherMAC[:]))
	d.Wait("the new MAC address", func(s status.Status) bool { return s.Uplinks[0].MAC == "02:00:00:00:00:99" })
}
