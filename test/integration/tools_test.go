// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"bufio"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/internal/lab"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

// metric returns the value of one series of a scrape.
func metric(t *testing.T, scrape, series string) float64 {
	t.Helper()
	for line := range strings.Lines(scrape) {
		if rest, ok := strings.CutPrefix(line, series+" "); ok {
			v, err := strconv.ParseFloat(strings.TrimSpace(rest), 64)
			harness.Must(t, err)
			return v
		}
	}
	t.Fatalf("no series %s", series)
	return 0
}

// hasGroup reports whether a device is in a multicast group.
func hasGroup(t *testing.T, n *lab.Namespace, device, group string) bool {
	t.Helper()
	found := false
	harness.Must(t, n.Do(func() error {
		f, err := os.Open("/proc/thread-self/net/igmp6")
		if err != nil {
			return err
		}
		defer f.Close()
		b := netip.MustParseAddr(group).As16()
		const digits = "0123456789abcdef"
		var hex strings.Builder
		for _, c := range b {
			hex.WriteByte(digits[c>>4])
			hex.WriteByte(digits[c&15])
		}
		for s := bufio.NewScanner(f); s.Scan(); {
			fields := strings.Fields(s.Text())
			found = found || len(fields) > 2 && fields[1] == device && fields[2] == hex.String()
		}
		return nil
	}))
	return found
}

// allMulti reports whether the node's uplink takes all multicast frames. Only
// /sys tells of what a packet socket asked for.
func allMulti(t *testing.T, net *harness.Network) bool {
	t.Helper()
	s, err := net.Node.ReadSys("class/net/" + harness.Uplink + "/flags")
	harness.Must(t, err)
	flags, err := strconv.ParseUint(strings.TrimSpace(s), 0, 32)
	harness.Must(t, err)
	return flags&unix.IFF_ALLMULTI != 0
}

// snoopingSwitch is a bridge that forwards multicast to who joined only.
type snoopingSwitch struct {
	t  *testing.T
	ns *lab.Namespace
}

// newSwitch returns a bridge that floods.
func newSwitch(t *testing.T) *snoopingSwitch {
	t.Helper()
	s := &snoopingSwitch{t: t, ns: harness.Namespace(t)}
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "br0"
	harness.Must(t, s.ns.Link.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}))
	s.set("multicast_snooping", "0")
	harness.Must(t, s.ns.Up("br0"))
	return s
}

// snoop turns MLD snooping with a querier on, and waits until it is in force.
func (s *snoopingSwitch) snoop() {
	s.t.Helper()
	s.set("multicast_query_response_interval", "10") // centiseconds
	s.set("multicast_startup_query_interval", "50")
	s.set("multicast_snooping", "1")
	s.set("multicast_querier", "1")
}

func (s *snoopingSwitch) set(name, value string) {
	s.t.Helper()
	harness.Must(s.t, s.ns.WriteSys("class/net/br0/bridge/"+name, value))
}

// connect returns a station with its device eth0 on the switch.
func (s *snoopingSwitch) connect(name string, mac [6]byte) *lab.Namespace {
	s.t.Helper()
	station := harness.Namespace(s.t)
	harness.Must(s.t, station.Veth("eth0", mac, s.ns, name, [6]byte{2, 0, 0, 1, mac[4], mac[5]}))
	s.enslave(name)
	return station
}

// enslave makes a device of the switch's namespace a port.
func (s *snoopingSwitch) enslave(name string) {
	s.t.Helper()
	port, err := s.ns.Link.LinkByName(name)
	harness.Must(s.t, err)
	br, err := s.ns.Link.LinkByName("br0")
	harness.Must(s.t, err)
	harness.Must(s.t, s.ns.Link.LinkSetMaster(port, br))
}

// readNetlinkTable returns /proc/net/netlink of a namespace.
func readNetlinkTable(t *testing.T, n *lab.Namespace) string {
	t.Helper()
	var text []byte
	harness.Must(t, n.Do(func() error {
		var err error
		text, err = os.ReadFile("/proc/thread-self/net/netlink")
		return err
	}))
	return string(text)
}
