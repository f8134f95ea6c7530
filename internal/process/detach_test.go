// SPDX-License-Identifier: Apache-2.0

package process_test

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/ndproxyd/ndproxyd/internal/process"
)

// TestWritePID writes over what is there, and removes its own ID alone.
func TestWritePID(t *testing.T) {
	t.Parallel()
	own := strconv.Itoa(os.Getpid()) + "\n"
	for name, c := range map[string]struct {
		before, after string
		left          string
	}{
		"no file":                            {},
		"the file of a process that is gone": {before: "999999\n"},
		"an empty file":                      {before: "\n"},
		"another process writes later":       {after: "4711\n", left: "4711\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "ndppd.pid")
			write := func(content string) {
				if content != "" {
					if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
						t.Fatal(err)
					}
				}
			}
			write(c.before)
			remove, err := process.WritePID(path)
			if err != nil {
				t.Fatal(err)
			}
			if b, err := os.ReadFile(path); err != nil || string(b) != own {
				t.Errorf("the file has %q, %v", b, err)
			}
			write(c.after)
			remove()
			if b, err := os.ReadFile(path); string(b) != c.left || os.IsNotExist(err) != (c.left == "") {
				t.Errorf("the file has %q, %v", b, err)
			}
		})
	}
}

// TestWritePIDFails names the remedy.
func TestWritePIDFails(t *testing.T) {
	t.Parallel()
	if _, err := process.WritePID(filepath.Join(t.TempDir(), "none", "ndppd.pid")); err == nil || !strings.Contains(err.Error(), "name another file with -p") {
		t.Errorf("the error is %v", err)
	}
}
