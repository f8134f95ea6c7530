// SPDX-License-Identifier: Apache-2.0

package k8swatch

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// newService returns a service with one address of each kind.
func newService(change func(*corev1.Service)) *corev1.Service {
	s := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "s"},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeLoadBalancer, ClusterIP: "2001:db8::c", ClusterIPs: []string{"2001:db8::c", "10.0.0.1"}, ExternalIPs: []string{"2001:db8::e", "192.0.2.1"},
		},
		Status: corev1.ServiceStatus{LoadBalancer: corev1.LoadBalancerStatus{Ingress: []corev1.LoadBalancerIngress{{IP: "2001:db8::b"}}}},
	}
	change(s)
	return s
}

// TestReadService looks at which addresses of a service count, as a service proxy sees
// them, and at what is said of the others.
func TestReadService(t *testing.T) {
	t.Parallel()
	const cluster, external, balanced = "2001:db8::c", "2001:db8::e", "2001:db8::b"
	class, mode := "example.org/other", corev1.LoadBalancerIPModeProxy
	tests := []struct {
		name      string
		selection Selection
		change    func(*corev1.Service)
		counts    []string
		why       string // of all others
	}{
		{"all", Selection{}, func(*corev1.Service) {}, []string{cluster, external, balanced}, ""},
		{"headless with external IPs", Selection{}, func(s *corev1.Service) { s.Spec.ClusterIP, s.Spec.ClusterIPs = "None", []string{"None"} }, nil, "headless"},
		{"another service proxy's", Selection{}, func(s *corev1.Service) { s.Labels = map[string]string{labelServiceProxyName: ""} }, nil, "another service proxy"},
		{"IPv4 only", Selection{}, func(s *corev1.Service) { s.Spec.ClusterIP, s.Spec.ClusterIPs = "10.0.0.1", []string{"10.0.0.1"} }, nil, "no IPv6 cluster IP"},
		{"ExternalName", Selection{}, func(s *corev1.Service) {
			s.Spec.Type, s.Spec.ClusterIP, s.Spec.ClusterIPs = corev1.ServiceTypeExternalName, "", nil
		}, nil, "ExternalName"},
		{"ipMode Proxy", Selection{}, func(s *corev1.Service) { s.Status.LoadBalancer.Ingress[0].IPMode = &mode }, []string{cluster, external}, "ipMode: Proxy"},
		{"another class", Selection{Classes: []string{"", "ours"}}, func(s *corev1.Service) { s.Spec.LoadBalancerClass = &class }, []string{cluster, external}, class},
		{"no class", Selection{Classes: []string{"ours"}}, func(*corev1.Service) {}, []string{cluster, external}, "no loadBalancerClass"},
		{"by label", Selection{Selector: "expose=yes"}, func(*corev1.Service) {}, nil, "services.selector"},
		{"by kind", Selection{Kinds: []ServiceKind{LoadBalancer, ExternalIP}}, func(*corev1.Service) {}, []string{external, balanced}, "the kind cluster-ip"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, _ := readService(tt.selection)(newService(tt.change))
			var got []string
			for _, a := range s.Addresses {
				got = append(got, a.Address.String())
			}
			if !slices.Equal(got, tt.counts) {
				t.Errorf("%v count, want %v", got, tt.counts)
			}
			if tt.why != "" && len(s.Ignored) == 0 {
				t.Error("nothing is said of the others")
			}
			for _, a := range s.Ignored {
				if !strings.Contains(a.Why, tt.why) {
					t.Errorf("%s does not count: %q", a.Address, a.Why)
				}
			}
		})
	}
}

// slice makes an EndpointSlice of endpoints in words: "n1", "n1!" for one that is not
// ready, "n1~" for one that serves while it terminates, "n1~!" for one that does not, and
// "-" for no node.
func slice(name string, family discoveryv1.AddressType, words ...string) *discoveryv1.EndpointSlice {
	s := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: "default", Name: name + "-" + string(family), Labels: map[string]string{discoveryv1.LabelServiceName: name}},
		AddressType: family,
	}
	for _, w := range words {
		node := strings.TrimRight(w, "~!")
		terminating, serving := strings.Contains(w, "~"), !strings.Contains(w, "!")
		ready := serving && !terminating
		e := discoveryv1.Endpoint{Addresses: []string{"2001:db8:f::1"}, NodeName: &node, Conditions: discoveryv1.EndpointConditions{Ready: &ready, Serving: &serving, Terminating: &terminating}}
		if node == "-" {
			e.NodeName = nil
		}
		s.Endpoints = append(s.Endpoints, e)
	}
	return s
}

// TestEndpoints looks at which nodes take traffic for an address of services, and which
// of them more than others.
func TestEndpoints(t *testing.T) {
	t.Parallel()
	const v6, v4, fqdn = discoveryv1.AddressTypeIPv6, discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeFQDN
	placeholder := slice("a", v4, "-")
	placeholder.Endpoints[0].Addresses = []string{ciliumPlaceholder}
	headless := slice("a", v6, "n1")
	headless.Labels[corev1.IsHeadlessService] = ""
	silent := slice("a", v6, "n1")
	silent.Endpoints[0].Conditions = discoveryv1.EndpointConditions{}
	type list = []*discoveryv1.EndpointSlice
	tests := []struct {
		name     string
		services string // with a Local policy, in upper case with a Cluster one
		slices   list
		want     string // "all", or the nodes, with their share if they differ
	}{
		{"ready", "a", list{slice("a", v6, "n2", "n1", "n3!")}, "n1 n2"},
		{"nothing is said", "a", list{silent}, "n1"},
		{"none", "a", nil, ""},
		{"IPv4 and names do not count", "a", list{slice("a", v4, "n1"), slice("a", fqdn, "n2"), slice("a", v6, "n3")}, "n3"},
		{"the slice of a headless service", "a", list{headless}, ""},
		{"the only endpoint terminates and serves", "a", list{slice("a", v6, "n1~", "n2~!")}, "n1"},
		{"one terminates, another is ready", "a", list{slice("a", v6, "n1~", "n2")}, "n1:256 n2:257"},
		{"both on one node", "a", list{slice("a", v6, "n1~", "n1")}, "n1"},
		{"an endpoint without a node", "a", list{slice("a", v6, "-")}, "all"},
		{"Cilium's placeholder", "a", list{placeholder}, "all"},
		{"an IPv4 endpoint without a node", "a", list{slice("a", v4, "-")}, ""},
		{"one without a node that is not ready", "a", list{slice("a", v6, "-!")}, ""},
		{"one without a node beside one with", "a", list{slice("a", v6, "-", "n1")}, "all n1:257"},
		{"two services", "ab", list{slice("a", v6, "n1", "n2"), slice("b", v6, "n2", "n3")}, "n1:257 n2:514 n3:257"},
		{"two services with the same nodes", "ab", list{slice("a", v6, "n1", "n2"), slice("b", v6, "n1", "n2")}, "n1 n2"},
		{"Cluster and Local", "Ab", list{slice("b", v6, "n2")}, "all n2:257"},
		{"Cluster alone", "A", list{slice("a", v6, "n2")}, "all"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			services, kept := make(map[string]Service), make(map[string]endpoints)
			a := newAllocated(services, kept)
			for _, name := range strings.Split(tt.services, "") {
				o := newService(func(s *corev1.Service) {
					s.Name, s.Spec.ClusterIP, s.Spec.ClusterIPs = strings.ToLower(name), "2001:db8::c"+strings.ToLower(name), nil
					if name == strings.ToLower(name) {
						s.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
					}
				})
				services["default/"+o.Name], _ = readService(Selection{})(o)
				a.servicesChanged([]string{"default/" + o.Name})
			}
			of := make(map[string]string)
			for _, s := range tt.slices {
				if e, ok := readSlice(s); ok {
					kept[s.Name] = e
					a.slicesChanged([]string{s.Name}, of)
				}
			}
			if got := placed(a.change(as("2001:db8::b")[0])); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// placed shows which nodes take traffic for an address.
func placed(c AddressChange) string {
	var words []string
	if !c.Local {
		words = append(words, "all")
	}
	for i, n := range c.Nodes {
		if c.Shares != nil {
			n += fmt.Sprint(":", c.Shares[i])
		}
		words = append(words, n)
	}
	return strings.Join(words, " ")
}

// TestSharedAddress looks at an address that some services count for, and others not.
func TestSharedAddress(t *testing.T) {
	t.Parallel()
	services := make(map[string]Service)
	a := newAllocated(services, nil)
	set := func(name string, change func(*corev1.Service)) AddressChange {
		key := "default/" + name
		delete(services, key)
		if change != nil {
			services[key], _ = readService(Selection{})(newService(func(s *corev1.Service) { s.Name = name; change(s) }))
		}
		a.servicesChanged([]string{key})
		return a.change(as("2001:db8::b")[0])
	}
	headless := func(s *corev1.Service) { s.Spec.ClusterIP, s.Spec.ClusterIPs = "None", nil }
	for _, step := range []struct {
		name   string
		change func(*corev1.Service)
		want   string
	}{
		{"a", headless, "default/a gone true uses 0"},
		{"b", func(*corev1.Service) {}, "default/b gone false uses 1"},
		{"c", func(*corev1.Service) {}, "default/b gone false uses 2"},
		{"b", headless, "default/c gone false uses 1"},
		{"c", nil, "default/a gone true uses 0"},
		{"a", nil, "default/b gone true uses 0"},
		{"b", nil, "/ gone true uses 0"},
	} {
		c := set(step.name, step.change)
		if got := fmt.Sprintf("%s/%s gone %t uses %d", c.Service.Namespace, c.Service.Name, c.Gone, len(c.Uses)); got != step.want {
			t.Errorf("after %s: %s, want %s", step.name, got, step.want)
		}
		if (c.Ignored != "") != (c.Gone && c.Service.Name != "") {
			t.Errorf("after %s: ignored %q", step.name, c.Ignored)
		}
	}
}
