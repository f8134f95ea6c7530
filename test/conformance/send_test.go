// SPDX-License-Identifier: Apache-2.0

package conformance_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/ndproxyd/ndproxyd/internal/lab"
	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

// sendTime is far more than a send may take that does not wait, and far less than
// the queue of these tests takes to drain.
const sendTime = 2 * time.Second

// slowDevice shapes the node's uplink down to ten frames a second or so, and
// returns its index.
func slowDevice(t *testing.T, node *lab.Namespace) int {
	t.Helper()
	link, err := node.Link.LinkByName(harness.Uplink)
	harness.Must(t, err)
	harness.Must(t, node.Link.QdiscReplace(&netlink.Tbf{
		QdiscAttrs: netlink.QdiscAttrs{LinkIndex: link.Attrs().Index, Handle: netlink.MakeHandle(1, 0), Parent: netlink.HANDLE_ROOT},
		Rate:       1000, Limit: 1 << 20, // octets
		Buffer: 2 * uint32(time.Second/64), // 2000 octets, in the kernel's units of 64 ns
	}))
	return link.Attrs().Index
}

// TestSendNeverBlocks fills the queue of a slow device: a send fails at once and
// says that the device is busy, and the responder stays alive and closes.
func TestSendNeverBlocks(t *testing.T) {
	t.Parallel()
	net := harness.NewNetwork(t)
	index := slowDevice(t, net.Node)
	table, err := rules.Compile(conformance.Rules())
	harness.Must(t, err)
	iface := ndp.NewInterface(conformance.Link(index), rules.Uplink{Interface: harness.Uplink})
	frame, err := iface.Unsolicited(conformance.Pod, false, false)
	harness.Must(t, err)
	var l *ndp.Listener
	var probe *ndp.ProbeSocket
	harness.Must(t, net.Node.Do(func() (err error) {
		if probe, err = ndp.OpenProbeSocket(); err != nil {
			return err
		}
		l, err = ndp.Listen(ndp.ListenConfig{Interface: iface, View: table.View(harness.Uplink), Counters: new(ndp.Counters)})
		return err
	}))
	defer probe.Close()
	fill := func(name string, send func() error) {
		began, stalled := time.Now(), harness.Stalled()
		for range 100_000 {
			if err = send(); err != nil {
				break
			}
		}
		if !errors.Is(err, ndp.ErrBusy) {
			t.Errorf("%s: the error of a full queue is %v", name, err)
		}
		if took := time.Since(began) - (harness.Stalled() - stalled); took > sendTime {
			t.Errorf("%s: waited for %s", name, took)
		}
	}
	fill("probe socket", func() error { return probe.Send(iface, conformance.Pod) })
	fill("responder", func() error { return l.Send(frame) })
	// What arrives now cannot be answered, and holds nothing up either.
	p := harness.OpenPort(t, net.Router, harness.RouterPort)
	for i := range 5000 {
		p.Send(conformance.Solicitation(target(i)).Bytes())
	}
	harness.Must(t, harness.Undisturbed(func() error {
		ctx, cancel := context.WithTimeout(t.Context(), sendTime)
		defer cancel()
		return l.Alive(ctx)
	}))
	began, stalled := time.Now(), harness.Stalled()
	harness.Must(t, l.Close())
	if took := time.Since(began) - (harness.Stalled() - stalled); took > sendTime {
		t.Errorf("closing took %s", took)
	}
}
