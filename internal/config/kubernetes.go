// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/labels"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

const (
	// DefaultSnapshot is where what the cluster said outlives the process.
	DefaultSnapshot = "/var/lib/ndproxyd/state.json"
	// DefaultNamespace is that of the announcers' leases outside of a pod.
	DefaultNamespace = "ndproxyd"
	// DefaultSettle is how long a node that has returned waits before it takes
	// its service addresses back.
	DefaultSettle = time.Minute
	// DefaultProxyHealth is where kube-proxy tells whether it is well.
	DefaultProxyHealth = "http://localhost:10256/healthz"

	// namespaceFile is what a pod is told of its namespace.
	namespaceFile = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"
	maxWeight     = 16
	maxSettle     = time.Hour
)

// Kubernetes says how to follow a cluster.
type Kubernetes struct {
	// Kubeconfig is a file, "" for what a pod is given. Server replaces its URL
	// unless it is "".
	Kubeconfig, Server string
	// Node is the name of this node's Node object.
	Node string
	// Namespace is where the announcers' leases are.
	Namespace string
	// Ownership says which nodes answer for a service address.
	Ownership rules.Ownership
	// Weight is this node's share of the service addresses, 1 to 16.
	Weight int
	// Settle is how long a node that has returned waits for its addresses.
	Settle time.Duration
	// ProxyHealth is the URL that tells whether the service proxy is well, ""
	// for none.
	ProxyHealth string
	// PrefixSource pins where the prefixes of this node are read, "" for what is in
	// force; see package k8swatch.
	PrefixSource string
	// Snapshot is a file, "" for none.
	Snapshot string
	Services ServiceSelection
}

// ServiceSelection says which service addresses count; see package k8swatch.
type ServiceSelection struct {
	Kinds    []string
	Selector string
	Classes  []string
}

// Equal reports whether two configurations follow a cluster in the same way.
func (k *Kubernetes) Equal(o *Kubernetes) bool {
	if k == nil || o == nil {
		return k == o
	}
	a, b := *k, *o
	same := slices.Equal(a.Services.Kinds, b.Services.Kinds) && slices.Equal(a.Services.Classes, b.Services.Classes) && a.Services.Selector == b.Services.Selector
	a.Services, b.Services = ServiceSelection{}, ServiceSelection{}
	return same && a.Kubeconfig == b.Kubeconfig && a.Server == b.Server && a.Node == b.Node && a.Namespace == b.Namespace &&
		a.Ownership == b.Ownership && a.Weight == b.Weight && a.Settle == b.Settle && a.ProxyHealth == b.ProxyHealth && a.PrefixSource == b.PrefixSource && a.Snapshot == b.Snapshot
}

// prefixSources are the names that package k8swatch has for the sources of a node's
// prefixes.
func prefixSources() []string {
	return []string{"calico", "cilium", "ovn-kubernetes", "kube-router", "pod-cidrs"}
}

func newKubernetes() *Kubernetes {
	return &Kubernetes{Weight: 1, Settle: DefaultSettle, ProxyHealth: DefaultProxyHealth, Snapshot: snapshotUnset}
}

// snapshotUnset stands for a snapshot that the file does not name.
const snapshotUnset = "\x00"

func (f *fileReader) kubernetes(v value) {
	k, enabled := newKubernetes(), true
	text := func(into *string) func(value) {
		return func(v value) {
			if s, ok := v.text(); ok {
				*into = s
			}
		}
	}
	v.mapping(
		field{"enabled", func(v value) { v.boolean(&enabled) }},
		field{"kubeconfig", text(&k.Kubeconfig)},
		field{"server", func(v value) {
			text(&k.Server)(v)
			if u, err := url.Parse(k.Server); err != nil || u.Host == "" {
				v.fail("%q is not the URL of an API server (example: https://[2001:db8::1]:6443)", k.Server)
			}
		}},
		field{"node", text(&k.Node)},
		field{"namespace", text(&k.Namespace)},
		field{"ownership", func(v value) { readName(v, &k.Ownership, rules.OwnershipNames()) }},
		field{"weight", func(v value) { v.integer(&k.Weight, 1, maxWeight) }},
		field{"settle", func(v value) {
			if v.duration(&k.Settle); k.Settle < 0 || k.Settle > maxSettle {
				v.fail("%s is outside 0s to %s", k.Settle, maxSettle)
			}
		}},
		field{"service_proxy_health", func(v value) {
			text(&k.ProxyHealth)(v)
			if u, err := url.Parse(k.ProxyHealth); k.ProxyHealth != "" && (err != nil || u.Host == "") {
				v.fail(`%q is not a URL (example: %s; "" for none)`, k.ProxyHealth, DefaultProxyHealth)
			}
		}},
		field{"prefix_source", func(v value) {
			text(&k.PrefixSource)(v)
			if !slices.Contains(prefixSources(), k.PrefixSource) {
				v.fail("%q is not one of %s%s", k.PrefixSource, strings.Join(prefixSources(), ", "), didYouMean(k.PrefixSource, prefixSources()))
			}
		}},
		field{"snapshot", text(&k.Snapshot)},
		field{"services", func(v value) { f.services(v, &k.Services) }},
	)
	f.config.Kubernetes, f.config.kubernetesOff = k, !enabled
	if !enabled {
		f.config.Kubernetes = nil
	}
}

func (f *fileReader) services(v value, s *ServiceSelection) {
	words := func(into *[]string, check func(value, string)) func(value) {
		return func(v value) {
			v.list(func(v value) {
				if word, ok := v.text(); ok {
					check(v, word)
					*into = append(*into, word)
				}
			})
		}
	}
	v.mapping(
		field{"kinds", words(&s.Kinds, func(v value, word string) {
			if _, err := rules.ParseServiceKind(word); err != nil {
				v.fail("%v%s", err, didYouMean(word, rules.ServiceKindNames()))
			}
		})},
		field{"selector", func(v value) {
			word, ok := v.text()
			if !ok {
				return
			}
			if _, err := labels.Parse(word); err != nil {
				v.fail("%v (examples: expose=yes, tier in (web, api))", err)
			}
			s.Selector = word
		}},
		field{"load_balancer_classes", words(&s.Classes, func(value, string) {})},
	)
}

// Host is what the configuration takes from the host.
type Host struct {
	Getenv   func(string) string
	Hostname string
}

// Complete fills in what the file leaves to the host: in a pod Kubernetes is on
// unless the file turns it off, and a node has a name.
func (c *Config) Complete(h Host) error {
	if !c.DiscoverRules && len(c.Rules) == 0 && !c.ndppd { // of which the quirk "empty" tells
		c.Warnings = append(c.Warnings, "rules is an empty list, so ndproxyd answers for nothing: add rules, or leave the key out for what the kernel routes behind this host")
	}
	if c.FastPathDirectory == "" {
		c.FastPathDirectory = DefaultFastPathDirectory
	}
	if c.Kubernetes == nil && !c.kubernetesOff && h.Getenv("KUBERNETES_SERVICE_HOST") != "" {
		c.Kubernetes = newKubernetes()
	}
	k := c.Kubernetes
	if k == nil {
		c.warnPublic()
		return c.needKubernetes()
	}
	if k.Node == "" {
		k.Node = h.Getenv("NODE_NAME")
	}
	if k.Node == "" {
		k.Node = strings.ToLower(h.Hostname)
	}
	if k.Namespace == "" {
		k.Namespace = h.Getenv("POD_NAMESPACE")
	}
	if k.Namespace == "" {
		b, _ := os.ReadFile(namespaceFile) // there is none outside of a pod
		k.Namespace = strings.TrimSpace(string(b))
	}
	if k.Namespace == "" {
		k.Namespace = DefaultNamespace
	}
	if k.Snapshot == snapshotUnset {
		k.Snapshot = DefaultSnapshot
		if dir := h.Getenv("STATE_DIRECTORY"); dir != "" {
			k.Snapshot = filepath.Join(dir, filepath.Base(DefaultSnapshot))
		}
	}
	c.warnOwnership()
	c.warnPublic()
	return nil
}

// warnOwnership tells of settings that keep routers from hearing of a new owner.
func (c *Config) warnOwnership() {
	if c.Kubernetes.Ownership != rules.OwnershipHash {
		return
	}
	for _, r := range c.Rules {
		if r.Method == rules.Services && r.Delay > 0 {
			c.Warnings = append(c.Warnings, fmt.Sprintf("rule %s has a delay: with ownership %s one node answers, and a new owner could not override what routers know: leave it out", r, rules.OwnershipHash))
		}
	}
	for _, u := range c.Uplinks {
		if u.Gratuitous == rules.GratuitousNone && slices.ContainsFunc(c.Rules, func(r rules.Rule) bool { return r.Method == rules.Services && r.Covers(u.Interface) }) {
			c.Warnings = append(c.Warnings, fmt.Sprintf("uplink %s has gratuitous none: routers do not hear when a service address gets a new owner", u.Interface))
		}
	}
}

// needKubernetes fails where a rule takes evidence that nobody gives.
func (c *Config) needKubernetes() error {
	var errs []error
	if c.Metrics.Review {
		errs = append(errs, fmt.Errorf("%s: metrics.authentication asks the API server, and Kubernetes is off: use web_config instead", c.metricsPlace))
	}
	for i, r := range c.Rules {
		if r.Method.Clustered() {
			where := fmt.Sprintf("rule %d", i)
			if i < len(c.places) {
				where = c.places[i]
			}
			errs = append(errs, fmt.Errorf(`%s: the method %s takes evidence from Kubernetes, which is off: add "kubernetes: {kubeconfig: /etc/kubernetes/kubelet.conf}"`, where, r.Method))
		}
	}
	return errors.Join(errs...)
}
