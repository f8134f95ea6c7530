// SPDX-License-Identifier: Apache-2.0

package compare

import (
	"net/netip"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

// Addresses of the rules that are not on the pods' device.
var (
	tunnelled = netip.MustParseAddr("2001:db8:1:0:f::99")
	local     = netip.MustParseAddr("2001:db8:1:0:f::a5")
	newcomer  = netip.MustParseAddr("2001:db8:1::a3")
)

// takeOverRows are about what people have when they change from ndppd to ndproxyd.
func takeOverRows() []row {
	answered := func(a netip.Addr) func(*testing.T, *bed) string {
		return func(_ *testing.T, b *bed) string { return yes(b.answer(conformance.Solicitation(a)) != nil) }
	}
	return []row{
		{name: "file with `};`, `router no` in a rule, and `proxy pods {}`: answered", conf: sloppy, do: answered(conformance.Pod), want: "yes"},
		{name: "`-d` returns with the process ID written, and answers", conf: static, background: true, do: inBackground, want: "yes"},
		{name: "`static` for the link's whole /64: a newcomer gets an address", conf: wide, do: func(_ *testing.T, b *bed) string {
			return yes(b.answer(conformance.Probe(newcomer)) == nil)
		}, want: "yes"},
		{name: "`auto`: address routed to a tunnel is answered", conf: auto, prepare: tunnel, do: answered(tunnelled), want: "yes"},
		{name: "`auto`: address of a local route (AnyIP) is answered", conf: auto, prepare: anyIP, do: answered(local), want: "yes"},
		{name: "`static`: address of a local route (AnyIP) is answered", conf: static, prepare: anyIP, do: answered(local), want: "yes"},
	}
}

// inBackground waits for the program that was called, and asks the one that it left.
func inBackground(t *testing.T, b *bed) string {
	code := b.d.Exit()
	text, err := os.ReadFile(b.pid)
	harness.Must(t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	harness.Must(t, err)
	t.Cleanup(func() {
		_ = syscall.Kill(pid, syscall.SIGTERM)
		harness.Eventually(t, "the end of the daemon", func() bool { return harness.Gone(pid) })
	})
	if !b.ours {
		time.Sleep(time.Second)
	}
	return yes(code == 0 && b.answer(conformance.Solicitation(conformance.Pod)) != nil)
}

// tunnel routes an address to a tun device.
func tunnel(t *testing.T, b *bed) {
	t.Helper()
	tun := &netlink.Tuntap{
		LinkAttrs: netlink.LinkAttrs{Name: "tun0"}, Mode: netlink.TUNTAP_MODE_TUN, Queues: 1, NonPersist: true,
		Flags: netlink.TUNTAP_NO_PI | netlink.TUNTAP_ONE_QUEUE,
	}
	harness.Must(t, b.net.Node.Do(func() error { return netlink.LinkAdd(tun) }))
	t.Cleanup(func() { _ = tun.Fds[0].Close() })
	harness.Must(t, b.net.Node.Up("tun0"))
	harness.Must(t, b.net.Node.Route(tunnelled.String()+"/128", "", "tun0"))
}

// anyIP makes the host take the packets to a prefix.
func anyIP(t *testing.T, b *bed) {
	t.Helper()
	harness.Must(t, b.net.Node.Up("lo"))
	harness.Must(t, b.net.Node.Route("2001:db8:1:0:f::a0/124", "", "lo", func(r *netlink.Route) {
		r.Type, r.Table = unix.RTN_LOCAL, unix.RT_TABLE_LOCAL
	}))
}
