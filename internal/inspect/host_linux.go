// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"errors"
	"iter"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/internal/behind"
	"github.com/ndproxyd/ndproxyd/internal/config"
	"github.com/ndproxyd/ndproxyd/internal/consume"
	"github.com/ndproxyd/ndproxyd/internal/discover"
	"github.com/ndproxyd/ndproxyd/internal/status"
	"github.com/ndproxyd/ndproxyd/internal/targets"
	"github.com/ndproxyd/ndproxyd/pkg/hostwatch"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// Host looks at this host for a configuration. It changes nothing, and solicits
// addresses that nobody has on the uplinks, which takes a second or two. It needs
// no privilege; what takes one to see is left out without it. Whether the
// configuration fits the cluster is for the caller to check. daemon are the uplinks of
// the daemon that runs here, nil for none.
func Host(c *config.Config, stateOf StateOf, daemon []status.Uplink) (Inspection, error) {
	w, err := hostwatch.Watch()
	if err != nil {
		return Inspection{}, err
	}
	defer w.Close()
	judge := behind.New(w.Routes)
	judge.SetPolicy(c.Kubernetes != nil, c.Devices)
	return inspect(c, kernel{Routes: w.Routes, judge: judge}, stateOf, daemon)
}

// kernel is the system that this process runs on.
type kernel struct {
	*hostwatch.Routes
	judge *behind.Judge
}

// From implements system.
func (k kernel) From(uplink string, table uint32) Judge { return k.judge.From(uplink, table) }

// Defaults implements system.
func (k kernel) Defaults() []discover.DefaultDevice {
	var ds []discover.DefaultDevice
	for _, d := range k.DefaultDevices() {
		ds = append(ds, discover.DefaultDevice{Name: d.Name, Ethernet: d.Neighbors})
	}
	return ds
}

// Overview implements system.
func (k kernel) Overview(uplinks []discover.Uplink) discover.Overview {
	return Overview(k.Routes, k.judge, uplinks)
}

// Conditions implements system.
func (k kernel) Conditions(rs []rules.Rule) (discover.Conditions, error) {
	return Conditions(k.Routes, rs)
}

// Link implements system.
func (kernel) Link(name string) (rules.Link, error) {
	link, err := hostwatch.ReadLink(name, 0)
	if errors.Is(err, hostwatch.ErrNoLink) {
		return rules.Link{}, nil
	}
	return link, err
}

// Forwards implements system.
func (kernel) Forwards(name string) bool { return hostwatch.Forwards(name) }

// OnLink implements system.
func (k kernel) OnLink(index int) []netip.Prefix { return k.HopsOf(index).OnLink }

// SetUplinks implements system.
func (k kernel) SetUplinks(uplinks map[string]int, tables []uint32) {
	k.judge.SetUplinks(slices.Collect(maps.Values(uplinks)))
	k.judge.SetOrigins(uplinks, tables)
}

// Way implements system.
func (k kernel) Way(link rules.Link, holding []rules.Rule) (Way, func()) {
	return ReadWay(k.judge.From(link.Name, 0), k.Routes, link, holding)
}

// Entries implements system.
func (k kernel) Entries() iter.Seq[rules.Entry] { return k.judge.All() }

// Device implements system.
func (k kernel) Device(name string) int32 { return k.Index(name) }

// State implements system.
func (kernel) State(link rules.Link) hostwatch.UplinkState {
	s := hostwatch.ReadUplink(link)
	if chains, err := consume.IngressChains(link.Name); err == nil && len(chains) > 0 && s.Ingress == "" {
		s.Ingress = "chains of nftables (" + strings.Join(chains, ", ") + ") handle the frames that arrive"
	}
	return s
}

// Targets implements system.
func (kernel) Targets(rs []rules.Rule) []targets.File { return targets.Check(rs) }

// ProxyMode implements system.
func (kernel) ProxyMode() string { return askProxyMode(proxyModeURL) }

// Open implements system.
func (kernel) Open(index int) (packetLink, error) {
	conn, err := packet.Listen(&net.Interface{Index: index}, packet.Raw, unix.ETH_P_IPV6, nil)
	if err != nil {
		return nil, err
	}
	return packetConn{conn}, nil
}

// packetConn is a packet socket as a packetLink.
type packetConn struct{ conn *packet.Conn }

// Send implements packetLink.
func (c packetConn) Send(frame []byte) error {
	_, err := c.conn.WriteTo(frame, &packet.Addr{HardwareAddr: frame[:6]})
	return err
}

// Receive implements packetLink.
func (c packetConn) Receive(b []byte) (int, error) {
	n, _, err := c.conn.ReadFrom(b)
	return n, err
}

// SetDeadline implements packetLink.
func (c packetConn) SetDeadline(t time.Time) error { return c.conn.SetReadDeadline(t) }

// Close implements packetLink.
func (c packetConn) Close() error { return c.conn.Close() }
