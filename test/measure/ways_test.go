// SPDX-License-Identifier: Apache-2.0

package measure

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ndproxyd/ndproxyd/test/harness"
)

// ways are the values of fast_path that are measured side by side.
var ways = []string{"off", "tc", "xdp"}

// byWay runs a measurement for each way to answer.
func byWay(b *testing.B, measure func(b *testing.B, way string)) {
	b.Helper()
	for _, way := range ways {
		b.Run("way="+way, func(b *testing.B) { measure(b, way) })
	}
}

// config writes a daemon's configuration for a way, and returns its path. folder is
// where it pins.
func config(b *testing.B, folder, way string, rules ...string) string {
	b.Helper()
	return harness.WriteConfig(b, configText(folder, way, rules...))
}

func configText(folder, way string, rules ...string) string {
	text := fmt.Sprintf("version: 1\nfast_path_directory: %s\nuplinks: [{interface: %s, fast_path: %q}]\nrules:\n", folder, harness.Uplink, way)
	for _, r := range rules {
		prefix, method, _ := strings.Cut(r, "=")
		text += fmt.Sprintf("  - {prefix: %q, method: %s}\n", prefix, method)
	}
	return text
}

// mapMemory returns what the BPF maps that a process holds take in the kernel, in MiB.
func mapMemory(b *testing.B, pid int) float64 {
	b.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/fdinfo/*", pid))
	harness.Must(b, err)
	maps := make(map[string]int)
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // closed meanwhile
		}
		var id string
		var size int
		for line := range strings.Lines(string(text)) {
			_, _ = fmt.Sscanf(line, "map_id: %s", &id)
			_, _ = fmt.Sscanf(line, "memlock: %d", &size)
		}
		if id != "" {
			maps[id] = size
		}
	}
	sum := 0
	for _, size := range maps {
		sum += size
	}
	return float64(sum) / (1 << 20)
}
