// SPDX-License-Identifier: Apache-2.0

package k8swatch

import (
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// nodeWith makes a Node with addresses.
func nodeWith(name string, addresses ...string) *corev1.Node {
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}}
	for _, a := range addresses {
		n.Status.Addresses = append(n.Status.Addresses, corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: a})
	}
	return n
}

// TestReadNodeAddresses looks at what counts of a Node's addresses.
func TestReadNodeAddresses(t *testing.T) {
	t.Parallel()
	got, ok := readNodeAddresses(nodeWith("n1", "2001:db8::2", "10.0.0.1", "n1.example.org", "fe80::1", "2001:db8::1", "2001:db8::2"))
	if want := as("2001:db8::1", "2001:db8::2"); !ok || !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if _, ok := readNodeAddresses(nodeWith("n2", "10.0.0.1")); ok {
		t.Error("a Node without an IPv6 address counts")
	}
}

// TestNodeAddresses follows Nodes, and hands over what changes, and services only after
// that.
func TestNodeAddresses(t *testing.T) {
	t.Parallel()
	var calls []map[netip.Addr]string
	var known []string
	w := New(&Client{}, Config{Node: "n1", Log: slog.New(slog.DiscardHandler)}, Handler{
		NodeAddresses: func(all map[netip.Addr]string) { calls = append(calls, all) },
		Services:      func([]AddressChange) {},
		Known:         func(source string, _ bool) { known = append(known, source) },
		Forbidden:     func(string, bool) {},
	})
	if err := w.services.Replace(nil, ""); err != nil {
		t.Fatal(err)
	}
	if len(known) > 0 {
		t.Errorf("%v are known before the Nodes", known)
	}
	list := []any{nodeWith("n1", "2001:db8::1"), nodeWith("n2", "2001:db8::2", "2001:db8::9"), nodeWith("n3", "2001:db8::9")}
	for range 3 { // as their heartbeats
		if err := w.addresses.Replace(list, ""); err != nil {
			t.Fatal(err)
		}
		if err := w.addresses.Update(nodeWith("n1", "2001:db8::1")); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.addresses.Delete(nodeWith("n2")); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"map[2001:db8::1:n1 2001:db8::2:n2 2001:db8::9:n2]",
		"map[2001:db8::1:n1 2001:db8::9:n3]",
	}
	var got []string
	for _, c := range calls {
		got = append(got, fmt.Sprint(c))
	}
	if !slices.Equal(got, want) {
		t.Errorf("handed over %v, want %v", got, want)
	}
	if !slices.Contains(known, SourceServices) || !slices.Contains(known, SourceNodeAddresses) {
		t.Errorf("known are %v", known)
	}
}
