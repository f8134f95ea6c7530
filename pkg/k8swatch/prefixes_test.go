// SPDX-License-Identifier: Apache-2.0

package k8swatch

import (
	"encoding/json"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Objects as Calico and Cilium wrote them on two nodes, trimmed to what is read.
const (
	calicoV1 = `{"apiVersion":"crd.projectcalico.org/v1","kind":"BlockAffinity",
		"metadata":{"creationTimestamp":"2026-11-26T12:15:42Z","name":"cnin1-2001-db8-1234-5678-8-2-cb-7900-120"},
		"spec":{"cidr":"2001:db8:1234:5678:8:2:cb:7900/120","deleted":"false","node":"cnin1","state":"confirmed","type":"host"}}`
	calicoV3 = `{"apiVersion":"projectcalico.org/v3","kind":"BlockAffinity",
		"metadata":{"creationTimestamp":"2026-11-26T12:43:51Z","name":"cnin1-2001-db8-1234-5678-8-2-cb-7900-120"},
		"spec":{"cidr":"2001:db8:1234:5678:8:2:cb:7900/120","deleted":false,"node":"cnin1","state":"confirmed","type":"host"}}`
	ciliumPool = `{"apiVersion":"cilium.io/v2","kind":"CiliumNode","metadata":{"creationTimestamp":"2026-11-26T13:02:04Z","name":"cnin1"},
		"spec":{"ipam":{"podCIDRs":["2001:db8:1234:5678:8:2::/120"],"pools":{}}}}`
	ciliumPools = `{"apiVersion":"cilium.io/v2","kind":"CiliumNode","metadata":{"creationTimestamp":"2026-11-26T11:00:00Z","name":"cnin1"},
		"spec":{"ipam":{"pools":{"allocated":[{"cidrs":["2001:db8:1234:5678:8:2:aa:0/123"],"pool":"default"}],"requested":[{"needed":{"ipv6-addrs":16},"pool":"default"}]}}}}`
)

// TestPrefixSources looks at which source of a node's prefixes is taken.
func TestPrefixSources(t *testing.T) {
	t.Parallel()
	const block, pool, pools, given = "2001:db8:1234:5678:8:2:cb:7900/120", "2001:db8:1234:5678:8:2::/120", "2001:db8:1234:5678:8:2:aa:0/123", "2001:db8:1234:5678:8:2:0:100/120"
	tests := []struct {
		name      string
		calico    string // its block affinity of this node
		elsewhere bool   // Calico has blocks of other nodes
		cilium    string
		routed    []string // by the kernel, not to another node
		pinned    string
		forbidden bool // Calico's objects, which are there
		unknown   bool // Cilium's object
		source    string
		want      []string
	}{
		{name: "podCIDRs", source: FromPodCIDRs, want: []string{given}},
		{name: "Calico's older API", calico: calicoV1, elsewhere: true, source: FromCalico, want: []string{block}},
		{name: "Calico's newer API", calico: calicoV3, elsewhere: true, source: FromCalico, want: []string{block}},
		{name: "Cilium's pool", cilium: ciliumPool, source: FromCilium, want: []string{pool}},
		{name: "Cilium's pools", cilium: ciliumPools, source: FromCilium, want: []string{pools}},
		{name: "no block of this node yet", elsewhere: true, source: FromCalico},
		{name: "no block of this node, the kernel routes podCIDRs", elsewhere: true, routed: []string{given}, source: FromPodCIDRs, want: []string{given}},
		{name: "no block of this node, a CiliumNode", elsewhere: true, cilium: ciliumPools, source: FromCilium, want: []string{pools}},
		{name: "blocks that Calico left behind", calico: calicoV1, elsewhere: true, cilium: ciliumPool, source: FromCilium, want: []string{pool}},
		{name: "a CiliumNode that was left behind", calico: calicoV1, elsewhere: true, cilium: ciliumPools, source: FromCalico, want: []string{block}},
		{name: "a CiliumNode that was left behind, and is newer", calico: calicoV1, elsewhere: true, cilium: ciliumPool, routed: []string{block}, source: FromCalico, want: []string{block}},
		{name: "Calico's blocks beside flannel", calico: calicoV1, elsewhere: true, routed: []string{given}, source: FromPodCIDRs, want: []string{given}},
		{name: "routes of both", calico: calicoV1, elsewhere: true, cilium: ciliumPool, routed: []string{block, pool}, source: FromCilium, want: []string{pool}},
		{name: "pinned", calico: calicoV1, elsewhere: true, cilium: ciliumPool, pinned: "calico", source: FromCalico, want: []string{block}},
		{name: "pinned to podCIDRs", elsewhere: true, pinned: "pod-cidrs", source: FromPodCIDRs, want: []string{given}},
		{name: "pinned to what has nothing", pinned: "kube-router", source: FromKubeRouter},
		{name: "Calico may not be read", forbidden: true, source: FromCalico},
		{name: "Calico may not be read, pinned to podCIDRs", forbidden: true, pinned: "pod-cidrs", source: FromPodCIDRs, want: []string{given}},
		{name: "Calico may not be read, the kernel routes podCIDRs", forbidden: true, routed: []string{given}, source: FromPodCIDRs, want: []string{given}},
		{name: "Cilium is not known yet", calico: calicoV1, elsewhere: true, unknown: true, source: "nothing"},
		{name: "Cilium is not known yet, the kernel routes the block", calico: calicoV1, elsewhere: true, unknown: true, routed: []string{block}, source: FromCalico, want: []string{block}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			source, got := "nothing", []netip.Prefix(nil)
			w := New(&Client{}, Config{
				Node: "cnin1", Needs: Needs{Prefixes: true}, PrefixSource: tt.pinned, Log: slog.New(slog.DiscardHandler),
				Routed: func(p netip.Prefix) bool { return slices.Contains(tt.routed, p.String()) },
			}, Handler{
				Prefixes: func(s string, ps []netip.Prefix) { source, got = s, ps },
				Node:     func(NodeState) {}, Known: func(string, bool) {},
			})
			add(t, w.node, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "cnin1"}, Spec: corev1.NodeSpec{PodCIDRs: []string{given}}})
			if tt.calico != "" {
				add(t, w.blocks[0], parse(t, tt.calico))
			}
			for _, b := range w.blocks {
				if tt.forbidden {
					b.health.presume()
				} else {
					b.health.listed(0)
				}
			}
			if tt.cilium != "" {
				add(t, w.ciliumNode, parse(t, tt.cilium))
			} else if !tt.unknown {
				w.ciliumNode.health.missing(true)
			}
			w.node.health.listed(0)
			for i, r := range calicoResources() {
				w.setAnyBlock(r, tt.elsewhere && i == 0)
			}
			if want := ps(tt.want...); source != tt.source || !slices.Equal(got, want) {
				t.Errorf("%s gives %v, want %s with %v", source, got, tt.source, want)
			}
		})
	}
}

// TestPrefixesStay takes nothing away when a permission is missing for a while.
func TestPrefixesStay(t *testing.T) {
	t.Parallel()
	var got []netip.Prefix
	w := New(&Client{}, Config{Node: "cnin1", Needs: Needs{Prefixes: true}, Log: slog.New(slog.DiscardHandler)}, Handler{
		Prefixes: func(_ string, ps []netip.Prefix) { got = ps }, Node: func(NodeState) {}, Known: func(string, bool) {},
	})
	w.node.health.listed(0)
	w.ciliumNode.health.missing(true)
	for _, b := range w.blocks {
		b.health.missing(true)
	}
	for _, r := range calicoResources() {
		w.setAnyBlock(r, false)
	}
	const given = "2001:db8:1::/80"
	add(t, w.node, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "cnin1"}, Spec: corev1.NodeSpec{PodCIDRs: []string{given}}})
	for _, b := range w.blocks {
		b.health.missing(false)
		b.health.result(apierrors.NewForbidden(calicoResources()[0].GroupResource(), "", errors.New("no permission")), false)
	}
	w.apart(w.prefixesChanged)()
	if !slices.Equal(got, ps(given)) {
		t.Errorf("got %v", got)
	}
}

func parse(t *testing.T, object string) *unstructured.Unstructured {
	t.Helper()
	u := new(unstructured.Unstructured)
	if err := json.Unmarshal([]byte(object), &u.Object); err != nil {
		t.Fatal(err)
	}
	return u
}

func add[T any](t *testing.T, k *kept[T], object any) {
	t.Helper()
	if err := k.Add(object); err != nil {
		t.Fatal(err)
	}
	k.health.listed(0)
}
