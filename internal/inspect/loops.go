// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// proxyMode is a mode of kube-proxy in which it leaves some packets for service addresses
// to the kernel.
type proxyMode struct {
	name string
	// table and chain are what kube-proxy makes in that mode, of the family ip6.
	table, chain string
	// leaves are the kinds of service addresses of which it takes the ports of services
	// only.
	leaves rules.ServiceKinds
}

// proxyModes are those modes. With nftables, kube-proxy rejects what is for other ports of
// cluster IPs, and drops what is for cluster IPs that no service has. In the mode ipvs,
// which has KUBE-NODE-PORT instead, the addresses are the node's own, so the kernel
// answers a ping.
func proxyModes() []proxyMode {
	return []proxyMode{
		{"iptables", "nat", "KUBE-NODEPORTS", rules.Exposed | rules.ClusterIPs},
		{"nftables", "kube-proxy", "services", rules.Exposed},
	}
}

// serviceLoops looks for a kube-proxy that takes packets for ports of services only. The
// kernel routes the others, such as a ping, back out of the uplink. What kube-proxy says
// of itself counts before its chains: those of another mode may be left over.
func (c *collector) serviceLoops() {
	if c.Config.DropLoops {
		return
	}
	for _, m := range proxyModes() {
		is := c.ProxyMode == m.name || c.ProxyMode == "" && c.Way.Firewall != nil && c.Way.Firewall.Chain(m.table, m.chain)
		left := func(r rules.Rule) bool { return r.TakesServices() && r.Kinds.Has(m.leaves) }
		if !is || !slices.ContainsFunc(c.answering(), left) {
			continue
		}
		c.inform(reasonLoops, "a packet for a service address that is for no port of the service, such as a ping, is routed back out of "+c.name+"; while two nodes answer for the address it goes round between them until its hop limit is used up",
			`set "drop_loops: true" for the uplink (needs CAP_NET_ADMIN)`,
			"kube-proxy is in the mode %s, and %s does not drop what kube-proxy leaves", m.name, c.name)
		return
	}
}

const (
	// proxyModeURL is where kube-proxy tells its mode, unless its metrics are elsewhere.
	proxyModeURL = "http://localhost:10249/proxyMode"
	// proxyModeTime is how long it has to answer, and maxProxyMode how long the answer
	// may be, in octets.
	proxyModeTime, maxProxyMode = time.Second, 32
)

// askProxyMode returns the mode of the kube-proxy whose URL that is, "" where it does not
// tell.
func askProxyMode(url string) string {
	client := http.Client{Timeout: proxyModeTime, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(url)
	if err != nil {
		return ""
	}
	defer resp.Body.Close() //nolint:errcheck // it was read
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxProxyMode))
	if err != nil || resp.StatusCode != http.StatusOK {
		return ""
	}
	return strings.TrimSpace(string(b))
}
