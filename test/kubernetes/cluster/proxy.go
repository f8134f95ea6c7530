// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ndproxyd/ndproxyd/test/harness"
)

// proxyHealth is where kube-proxy tells whether it is well.
const proxyHealth = "http://localhost:10256/healthz"

// UseNetfilter lets kube-proxy find the programs that "make control-plane" has
// unpacked.
func UseNetfilter(t *testing.T) {
	t.Helper()
	dir := filepath.Join(cacheDir(), "netfilter")
	if _, err := os.Stat(filepath.Join(dir, "bin", "nft")); err != nil {
		t.Fatal("nftables is missing: fetch it with \"make control-plane\"")
	}
	t.Setenv("PATH", filepath.Join(dir, "bin")+":"+os.Getenv("PATH"))
	t.Setenv("LD_LIBRARY_PATH", filepath.Join(dir, "lib"))
	t.Setenv("XTABLES_LIBDIR", filepath.Join(dir, "xtables"))
}

// RunProxy starts kube-proxy on the node and waits until it is well.
func (n *Node) RunProxy(mode string) *Process {
	n.tb.Helper()
	p := runIn(n.tb, n.Namespace, n.Dir, "kube-proxy",
		"--kubeconfig="+n.net.Cluster.Kubeconfig(proxyToken), "--hostname-override="+n.Name, "--proxy-mode="+mode, "--bind-address=::",
		"--cluster-cidr="+PodCIDR, "--healthz-bind-address=[::]:10256", "--metrics-bind-address=[::1]:10249",
		// The machine's settings are not the namespace's to write.
		"--conntrack-max-per-core=0", "--conntrack-min=0", "--conntrack-tcp-timeout-established=0", "--conntrack-tcp-timeout-close-wait=0")
	client := http.Client{Timeout: time.Second, Transport: &http.Transport{DialContext: n.Dial, DisableKeepAlives: true}}
	n.net.Cluster.eventually("healthy kube-proxy", p, func() bool {
		resp, err := client.Get(proxyHealth)
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	return p
}

// Workload is a pod that runs: a namespace behind a node, with an HTTP server.
type Workload struct {
	Name   string
	device string
	node   *Node
	server *http.Server
}

// RunPod starts a pod as Calico connects one: a device of its own, an address
// of 128 bits, and a route to it on every node. It is written to the API server
// as well.
func (n *Node) RunPod(name string, addr string) *Workload {
	n.tb.Helper()
	ns := harness.Namespace(n.tb)
	n.net.devices++
	number := n.net.devices
	w := &Workload{Name: name, device: deviceName(number), node: n}
	here := mac(7, number)
	harness.Must(n.tb, n.Veth(w.device, here, ns, "eth0", mac(8, number)))
	harness.Must(n.tb, ns.Address("eth0", addr+"/128"))
	harness.Must(n.tb, ns.Route("::/0", linkLocal(here), "eth0"))
	harness.Must(n.tb, n.Route(addr+"/128", "", w.device))
	for _, other := range n.net.Nodes {
		if other != n {
			harness.Must(n.tb, other.replaceRoute(addr+"/128", n.Addr.String()))
		}
	}
	l, err := listen(ns, "[::]:80")
	harness.Must(n.tb, err)
	w.server = &http.Server{Handler: http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) { _, _ = rw.Write([]byte(name)) }), ReadHeaderTimeout: time.Second}
	w.server.SetKeepAlivesEnabled(false)
	go func() { _ = w.server.Serve(l) }()
	n.tb.Cleanup(func() { _ = w.server.Close() })
	n.net.Cluster.CreatePod(name, n.Name, mustAddr(addr), WithApp(appOf(name)))
	return w
}

// Stop ends the pod: its device goes, and with that its route.
func (w *Workload) Stop() {
	w.node.tb.Helper()
	_ = w.server.Close()
	harness.Must(w.node.tb, w.node.Delete(w.device))
	w.node.net.Cluster.DeletePod(w.Name)
}
