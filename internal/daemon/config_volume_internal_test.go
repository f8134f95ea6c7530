// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"os"
	"path/filepath"
	"testing"
)

// TestConfigVolume writes ConfigMaps as a kubelet does, and files as others do.
func TestConfigVolume(t *testing.T) {
	t.Parallel()
	// mount puts another version of the ConfigMap in place, in one step.
	mount := func(t *testing.T, dir, version string) {
		t.Helper()
		must := func(err error) {
			if err != nil {
				t.Fatal(err)
			}
		}
		must(os.Mkdir(filepath.Join(dir, version), 0o755))
		must(os.WriteFile(filepath.Join(dir, version, "config.yaml"), []byte(version), 0o600))
		must(os.Symlink(version, filepath.Join(dir, "..data_tmp")))
		must(os.Rename(filepath.Join(dir, "..data_tmp"), filepath.Join(dir, volumeData)))
		_ = os.Symlink(filepath.Join(volumeData, "config.yaml"), filepath.Join(dir, "config.yaml"))
	}
	tests := []struct {
		name string
		do   func(t *testing.T, dir string, look func())
		want int
	}{
		{"no change", func(_ *testing.T, _ string, look func()) { look(); look() }, 0},
		{"a change", func(t *testing.T, dir string, look func()) { mount(t, dir, "..2"); look(); look() }, 1},
		{"two changes", func(t *testing.T, dir string, look func()) {
			mount(t, dir, "..2")
			look()
			mount(t, dir, "..3")
			look()
		}, 2},
		{"two changes between two looks", func(t *testing.T, dir string, look func()) { mount(t, dir, "..2"); mount(t, dir, "..3"); look() }, 1},
		{"the link is missing for a moment", func(t *testing.T, dir string, look func()) {
			if err := os.Remove(filepath.Join(dir, volumeData)); err != nil {
				t.Fatal(err)
			}
			look()
			mount(t, dir, "..2")
			look()
		}, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir, reloads := t.TempDir(), 0
			mount(t, dir, "..1")
			v := newConfigVolume(filepath.Join(dir, "config.yaml"))
			tt.do(t, dir, func() {
				v.look()
				select {
				case <-v.changed:
					reloads++
				default:
				}
			})
			if reloads != tt.want {
				t.Errorf("%d reloads, want %d", reloads, tt.want)
			}
		})
	}
	t.Run("a file that is in no volume", func(t *testing.T) {
		t.Parallel()
		if v := newConfigVolume(filepath.Join(t.TempDir(), "config.yaml")); v.link != "" {
			t.Errorf("it is followed by %s", v.link)
		}
	})
}
