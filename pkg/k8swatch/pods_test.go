// SPDX-License-Identifier: Apache-2.0

package k8swatch

import (
	"log/slog"
	"net/netip"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestMachine tells from its pods on which node a virtual machine runs.
func TestMachine(t *testing.T) {
	t.Parallel()
	made := time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)
	ready := func(at time.Time) string { return at.String() }
	const arrives, runs = "its virtual machine has not arrived yet", "its virtual machine runs on n2"
	tests := []struct {
		name        string
		labels      map[string]string
		annotations map[string]string
		ran         bool // the pod has said so before
		want        string
	}{
		{"no machine", nil, nil, false, ""},
		{"a machine that never moved", map[string]string{"kubevirt.io/created-by": "x"}, nil, false, ""},
		{"here", map[string]string{machineNode: "n1"}, nil, false, ""},
		{"it has left", map[string]string{machineNode: "n2"}, nil, true, runs},
		{"it has left before the daemon started", map[string]string{machineNode: "n2"}, nil, false, runs},
		{"it is to come", map[string]string{migrationJob: "j"}, nil, false, arrives},
		{"it is to come from n2", map[string]string{migrationJob: "j", machineNode: "n2"}, nil, false, arrives},
		{"it has come", map[string]string{migrationJob: "j", machineNode: "n1"}, nil, true, ""},
		{"it has come, the label does not say so yet", map[string]string{migrationJob: "j", machineNode: "n2"}, map[string]string{machineReady: ready(made.Add(time.Minute))}, false, ""},
		{"it has come, in the older version", map[string]string{migrationJob: "j"}, map[string]string{machineStart: made.Add(time.Minute).Format(time.RFC3339)}, false, ""},
		{"it has come, by a monotonic clock", map[string]string{migrationJob: "j"}, map[string]string{machineReady: ready(made.Add(time.Minute)) + " m=+12.345"}, false, ""},
		{"the time of the migration before", map[string]string{migrationJob: "j", machineNode: "n2"}, map[string]string{machineReady: ready(made.Add(-time.Minute))}, false, arrives},
		{"garbage", map[string]string{migrationJob: "j"}, map[string]string{machineReady: "soon"}, false, arrives},
		{"it has come, and left again", map[string]string{migrationJob: "j", machineNode: "n2"}, map[string]string{machineReady: ready(made.Add(time.Minute))}, true, runs},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Labels: tt.labels, Annotations: tt.annotations, CreationTimestamp: metav1.NewTime(made)}}
			if got := readMachine(p).absent("n1", tt.ran); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// TestMultus reads the addresses of all networks of a pod.
func TestMultus(t *testing.T) {
	t.Parallel()
	const multus = `[{"name":"cbr0","interface":"eth0","ips":["10.42.0.7","2001:db8::5"],"mac":"be:67:b2:19:17:84","default":true,"dns":{}},
		{"name":"default/storage","interface":"net1","ips":["2001:db8:9::5"],"mac":"02:59:e5:d4:ae:ea","dns":{}},
		{"name":"default/sriov","interface":"net2","ips":["10.9.0.5","fe80::5"],"device-info":{"type":"pci","version":"1.1.0"}}]`
	status := corev1.PodStatus{Phase: corev1.PodRunning, PodIPs: []corev1.PodIP{{IP: "2001:db8::5"}}}
	tests := []struct {
		name        string
		annotation  string
		value       string
		status      corev1.PodStatus
		first, more []netip.Addr
	}{
		{"two networks", networkStatus, multus, status, as("2001:db8::5"), as("2001:db8:9::5")},
		{"the older name", networksStatus, multus, status, as("2001:db8::5"), as("2001:db8:9::5")},
		{"before the status", networkStatus, multus, corev1.PodStatus{Phase: corev1.PodPending}, as("2001:db8::5"), as("2001:db8:9::5")},
		{"one network, without the word default", networkStatus, `[{"name":"cbr0","ips":["2001:db8::5"]}]`, status, as("2001:db8::5"), nil},
		{"IPv4 in the cluster, IPv6 beside it", networkStatus, `[{"ips":["10.0.0.5"],"default":true},{"ips":["2001:db8:9::5"]}]`, corev1.PodStatus{PodIP: "10.0.0.5"}, nil, as("2001:db8:9::5")},
		{"finished", networkStatus, multus, corev1.PodStatus{Phase: corev1.PodSucceeded}, nil, nil},
		{"garbage", networkStatus, `{"ips":7}`, status, as("2001:db8::5"), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, ok := readPod(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{tt.annotation: tt.value}}, Status: tt.status})
			if !slices.Equal(got.Addresses, tt.first) || !slices.Equal(got.More, tt.more) || ok != (len(tt.first)+len(tt.more) > 0) {
				t.Errorf("got %v and %v, %t", got.Addresses, got.More, ok)
			}
		})
	}
}

// TestMigration follows the two pods of a migration on their nodes.
func TestMigration(t *testing.T) {
	t.Parallel()
	const address = "2001:db8:1:0:f::5"
	type state struct {
		awaited, known bool
		absent         string
	}
	var now state
	w := New(&Client{}, Config{Node: "n2", Log: slog.New(slog.DiscardHandler)}, Handler{
		Awaited: func(is bool) { now.awaited = is },
		Known:   func(string, bool) {},
		Pods: func(all map[netip.Addr]Pod) {
			p, ok := all[netip.MustParseAddr(address)]
			now.known, now.absent = ok, p.Absent
		},
	})
	target := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "d", Name: "target", UID: "2", Labels: map[string]string{migrationJob: "j", machineNode: "n1"}}}
	for _, step := range []struct {
		name string
		do   func()
		want state
	}{
		{"the pod is there, without an address", func() {}, state{awaited: true}},
		{"Calico has given it the address", func() { target.Annotations = map[string]string{calicoAddresses: address + "/128"} }, state{known: true, absent: "its virtual machine has not arrived yet"}},
		{"the machine has come", func() { target.Labels = map[string]string{migrationJob: "j", machineNode: "n2"} }, state{known: true}},
		{"it leaves again", func() { target.Labels = map[string]string{migrationJob: "j", machineNode: "n3"} }, state{known: true, absent: "its virtual machine runs on n3"}},
		{"it comes back by another pod", func() {
			back := target.DeepCopy()
			back.Name, back.UID, back.Labels = "back", "3", map[string]string{migrationJob: "k", machineNode: "n2"}
			add(t, w.pods, back)
		}, state{known: true}},
	} {
		step.do()
		add(t, w.pods, target.DeepCopy())
		if now != step.want {
			t.Errorf("%s: %+v, want %+v", step.name, now, step.want)
		}
	}
}
