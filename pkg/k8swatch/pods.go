// SPDX-License-Identifier: Apache-2.0

package k8swatch

import (
	"encoding/json"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Annotations in which a network tells the addresses of a pod before the kubelet
// has them in the status.
const (
	calicoAddresses = "cni.projectcalico.org/podIPs"
	calicoAddress   = "cni.projectcalico.org/podIP" // "" when the address is gone
	ovnNetworks     = "k8s.ovn.org/pod-networks"
	// networkStatus has the addresses of all networks of a pod, as Multus writes it by
	// the Network Plumbing Working Group's specification, and networksStatus is its
	// name in older versions.
	networkStatus  = "k8s.v1.cni.cncf.io/network-status"
	networksStatus = "k8s.v1.cni.cncf.io/networks-status"
)

// Pod is a pod of this node with addresses of its own.
type Pod struct {
	Namespace, Name, UID string
	Addresses            []netip.Addr
	// More are the addresses of additional networks. An interface of such a network
	// may be on the uplink's own link, where the pod answers for itself.
	More []netip.Addr `json:"more,omitempty"`
	// Additional is true where the pod is handed over for one of More.
	Additional bool `json:"-"`
	// Machine is what the pod says of a virtual machine in it.
	Machine machine `json:"machine,omitzero"`
	// Absent says why the virtual machine that has the addresses does not run on this
	// node, "" for one that does, and for any other pod.
	Absent string `json:"-"`
}

// readPod returns the pod of an API object, and false for one without addresses
// of its own: in the host's network, finished, or without an IPv6 address. A pod for a
// virtual machine to come is returned before it has addresses.
func readPod(object any) (Pod, bool) {
	p, ok := object.(*corev1.Pod)
	if !ok || p.Spec.HostNetwork || p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed {
		return Pod{}, false
	}
	if ip, set := p.Annotations[calicoAddress]; set && ip == "" && p.DeletionTimestamp != nil {
		return Pod{}, false
	}
	pod := Pod{Namespace: p.Namespace, Name: p.Name, UID: string(p.UID), Machine: readMachine(p)}
	first, more := networkAddresses(p)
	if pod.Addresses = podAddresses(p); len(pod.Addresses) == 0 {
		pod.Addresses = first
	}
	pod.More = slices.DeleteFunc(more, func(a netip.Addr) bool { return slices.Contains(pod.Addresses, a) })
	return pod, len(pod.Addresses) > 0 || len(pod.More) > 0 || pod.Machine.Target
}

// podAddresses takes the first source that has an address: the status, else what
// the network wrote.
func podAddresses(p *corev1.Pod) []netip.Addr {
	var ips []string
	for _, ip := range p.Status.PodIPs {
		ips = append(ips, ip.IP)
	}
	if len(ips) == 0 && p.Status.PodIP != "" {
		ips = []string{p.Status.PodIP}
	}
	if len(ips) == 0 {
		ips = strings.Split(p.Annotations[calicoAddresses], ",")
	}
	if as := addresses(ips); len(as) > 0 {
		return as
	}
	return ovnAddresses(p.Annotations[ovnNetworks])
}

// ovnAddresses reads OVN-Kubernetes' annotation, of which the default network
// counts.
func ovnAddresses(annotation string) []netip.Addr {
	var networks map[string]struct {
		Addresses []string `json:"ip_addresses"`
		Address   string   `json:"ip_address"`
	}
	if annotation == "" || json.Unmarshal([]byte(annotation), &networks) != nil {
		return nil
	}
	n := networks["default"]
	return addresses(append(n.Addresses, n.Address))
}

// networkAddresses reads Multus' annotation: the addresses of the default network, and
// those of all others.
func networkAddresses(p *corev1.Pod) (first, more []netip.Addr) {
	annotation := p.Annotations[networkStatus]
	if annotation == "" {
		annotation = p.Annotations[networksStatus]
	}
	var networks []struct {
		Addresses []string `json:"ips"`
		Default   bool     `json:"default"`
	}
	if annotation == "" || json.Unmarshal([]byte(annotation), &networks) != nil {
		return nil, nil
	}
	for _, n := range networks {
		if as := addresses(n.Addresses); n.Default {
			first = append(first, as...)
		} else {
			more = append(more, as...)
		}
	}
	return first, more
}

// addresses returns the global IPv6 addresses among words, each of which may
// have a prefix length.
func addresses(words []string) []netip.Addr {
	var as []netip.Addr
	for _, w := range words {
		w, _, _ = strings.Cut(strings.TrimSpace(w), "/")
		if a, err := netip.ParseAddr(w); err == nil && usable(a) && !slices.Contains(as, a) {
			as = append(as, a)
		}
	}
	return as
}

// usable reports whether an address can be answered for.
func usable(a netip.Addr) bool {
	return a.Is6() && !a.Is4In6() && a.Zone() == "" && a.IsGlobalUnicast()
}
