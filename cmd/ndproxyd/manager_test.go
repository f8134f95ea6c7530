// SPDX-License-Identifier: Apache-2.0

package main

import "testing"

// TestPredecessor tells for which daemons a pod waits.
func TestPredecessor(t *testing.T) {
	t.Parallel()
	pod := func(name string) func(string) string {
		return func(variable string) string {
			return map[string]string{"POD_NAME": name, "POD_NAMESPACE": "ndproxyd"}[variable]
		}
	}
	tests := []struct {
		name   string
		getenv func(string) string
		other  string
		want   bool
	}{
		{"the pod before it", pod("ndproxyd-abcde"), "the pod ndproxyd/ndproxyd-vwxyz", true},
		{"itself, whose container was started again", pod("ndproxyd-abcde"), "the pod ndproxyd/ndproxyd-abcde", false},
		{"another DaemonSet", pod("ndproxyd-abcde"), "the pod ndproxyd/ndproxyd-edge-vwxyz", false},
		{"one of the same name in another namespace", pod("ndproxyd-abcde"), "the pod other/ndproxyd-vwxyz", false},
		{"a service of the host", pod("ndproxyd-abcde"), "a service of systemd", false},
		{"a name without a suffix", pod("ndproxyd"), "the pod ndproxyd/ndproxyd", false},
		{"not in a pod", func(string) string { return "" }, "the pod ndproxyd/ndproxyd-vwxyz", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			is := predecessor(tt.getenv)
			if got := is != nil && is(tt.other); got != tt.want {
				t.Errorf("got %t, want %t", got, tt.want)
			}
		})
	}
}
