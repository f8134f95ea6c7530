// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/ndproxyd/ndproxyd/internal/inspect"
)

// TestWarnings logs the findings of several loads: each once while it stays.
func TestWarnings(t *testing.T) {
	t.Parallel()
	finding := func(name, reason string, s inspect.Severity) inspect.Finding {
		return inspect.Finding{Interface: name, Reason: reason, Severity: s}
	}
	a, b := finding("eth0", "a", inspect.Warning), finding("eth1", "a", inspect.Warning)
	info := finding("eth0", "b", inspect.Info)
	elsewhere := inspect.Finding{Interface: "eth0", Reason: "c", Severity: inspect.Warning, Logged: true}
	tests := []struct {
		name  string
		loads [][]inspect.Finding
		lines int
	}{
		{"none", [][]inspect.Finding{nil, nil}, 0},
		{"stays", [][]inspect.Finding{{a}, {a}, {a}}, 1},
		{"on two uplinks", [][]inspect.Finding{{a, b}, {a, b}}, 2},
		{"comes back", [][]inspect.Finding{{a}, nil, {a}}, 2},
		{"not a warning", [][]inspect.Finding{{info}}, 0},
		{"logged elsewhere", [][]inspect.Finding{{elsewhere}}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			var w warnings
			for _, found := range tt.loads {
				w.log(slog.New(slog.NewTextHandler(&out, nil)), found)
			}
			if got := strings.Count(out.String(), "\n"); got != tt.lines {
				t.Errorf("%d lines, want %d:\n%s", got, tt.lines, &out)
			}
		})
	}
}
