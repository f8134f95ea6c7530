// SPDX-License-Identifier: Apache-2.0

//go:build full

package node

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ndproxyd/ndproxyd/test/harness"
	"github.com/ndproxyd/ndproxyd/test/kubernetes/cluster"
)

// monitors are the kinds of the Prometheus operator that the chart has objects of,
// without their schemas.
const monitors = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: podmonitors.monitoring.coreos.com}
spec:
  group: monitoring.coreos.com
  names: {kind: PodMonitor, plural: podmonitors, singular: podmonitor}
  scope: Namespaced
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: prometheusrules.monitoring.coreos.com}
spec:
  group: monitoring.coreos.com
  names: {kind: PrometheusRule, plural: prometheusrules, singular: prometheusrule}
  scope: Namespaced
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]
`

// values are those of an operator of the guide's cluster.
const values = `
image: {pullPolicy: Never}
uplinks: [{interface: uplink}]
rules:
  - {prefix: "2001:db8:1:0:f::/104", method: static}
  - {prefix: "2001:db8:1:0:e::/112", method: services}
kubernetes: {settle: 2s}
kubernetesServiceHost: "fd00:aa::1"
kubernetesServicePort: 6443
metrics:
  podMonitor: {enabled: true}
  prometheusRule: {enabled: true}
  dashboard: {enabled: true}
`

// one returns the one file of a pattern.
func one(t *testing.T, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(pattern)
	harness.Must(t, err)
	if len(found) != 1 {
		t.Fatalf("%d files of %s; make test-full builds it", len(found), pattern)
	}
	path, err := filepath.Abs(found[0])
	harness.Must(t, err)
	return path
}

// site is a cluster of two nodes with the chart on it.
type site struct {
	t       *testing.T
	c       *cluster.Cluster
	n       *cluster.Network
	a       *harness.Asker
	chart   string
	values  string
	service netip.Addr
}

func (s *site) helm(args ...string) string { return s.c.Helm(s.t, args...) }

// pods returns the pods of the DaemonSet that are ready.
func (s *site) pods() []corev1.Pod {
	list, err := s.c.Client.CoreV1().Pods("ndproxyd").List(context.Background(), metav1.ListOptions{LabelSelector: "app.kubernetes.io/component=agent"})
	if err != nil {
		return nil
	}
	var ready []corev1.Pod
	for _, p := range list.Items {
		for _, c := range p.Status.Conditions {
			if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue && p.DeletionTimestamp == nil {
				ready = append(ready, p)
			}
		}
	}
	return ready
}

// awaitPods waits for both pods, neither of which is an old one. A control plane that
// was away takes nodes for lost until their kubelets have called again, which has its
// time.
func (s *site) awaitPods(old ...corev1.Pod) {
	s.t.Helper()
	isOld := func(p corev1.Pod) bool {
		return slices.ContainsFunc(old, func(o corev1.Pod) bool { return o.UID == p.UID })
	}
	for end := time.Now().Add(3 * time.Minute); ; time.Sleep(200 * time.Millisecond) {
		now := s.pods()
		if len(now) == 2 && !slices.ContainsFunc(now, isOld) {
			return
		}
		if time.Now().After(end) {
			s.t.Fatalf("%d pods are ready", len(now))
		}
	}
}

// restarts sums what the kubelets started anew.
func (s *site) restarts() (sum int32) {
	for _, p := range s.pods() {
		for _, c := range p.Status.ContainerStatuses {
			sum += c.RestartCount
		}
	}
	return sum
}

// process finds the daemon of a node.
func process(t *testing.T, n *cluster.Node) *os.Process {
	t.Helper()
	pid := daemonOf(n)
	if pid == "" {
		t.Fatalf("no daemon on %s", n.Name)
	}
	p, err := os.FindProcess(atoi(t, pid))
	harness.Must(t, err)
	return p
}

// daemonOf returns the process of a node's daemon, "" for none.
func daemonOf(n *cluster.Node) (pid string) {
	for _, pid := range n.Processes() {
		if line, _ := os.ReadFile(filepath.Join("/proc", pid, "cmdline")); strings.HasPrefix(string(line), "/ndproxyd\x00run") {
			return pid
		}
	}
	return ""
}

// upgrade is "helm upgrade" with the values of the test and more arguments.
func (s *site) upgrade(args ...string) {
	s.t.Helper()
	s.helm(append([]string{"upgrade", "ndproxyd", s.chart, "--namespace", "ndproxyd", "--wait", "--timeout", "120s"}, args...)...)
}

// same reports whether the pods are still those, and no container was started again.
func (s *site) same(old []corev1.Pod, restarts int32) {
	s.t.Helper()
	now := s.pods()
	for _, p := range now {
		if !slices.ContainsFunc(old, func(o corev1.Pod) bool { return o.UID == p.UID }) {
			s.t.Errorf("%s is new", p.Name)
		}
	}
	if n := s.restarts(); len(now) != len(old) || n != restarts {
		s.t.Errorf("%d of %d pods are ready, %d restarts, %d before", len(now), len(old), n, restarts)
	}
}

// logs returns what the daemons have logged.
func (s *site) logs() string {
	var all strings.Builder
	for _, p := range s.pods() {
		b, err := s.c.Client.CoreV1().Pods("ndproxyd").GetLogs(p.Name, &corev1.PodLogOptions{}).DoRaw(context.Background())
		if err == nil {
			all.Write(b)
		}
	}
	return all.String()
}

func itoa(n int) string { return strconv.Itoa(n) }

func atoi(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	harness.Must(t, err)
	return n
}
