// SPDX-License-Identifier: Apache-2.0

//go:build full

package systemd

import (
	"crypto/rand"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/ndproxyd/ndproxyd/test/harness"
)

// newCgroups makes control groups for one container, and returns their folders. Containers
// that are started from one group share it: then each systemd keeps its services in the same
// groups as the others, and removes them while another one starts a service there.
func newCgroups(t *testing.T) (folders []string) {
	t.Helper()
	own, err := os.ReadFile("/proc/self/cgroup")
	harness.Must(t, err)
	name := "ndproxyd-test-" + strings.ToLower(rand.Text()) // the same in each hierarchy, as systemd-nspawn wants it
	for line := range strings.Lines(string(own)) {
		hierarchy, path, _ := strings.Cut(strings.TrimSpace(line), ":")
		controllers, path, _ := strings.Cut(path, ":")
		var mounts []string // systemd's own hierarchies alone
		switch {
		case hierarchy == "0":
			mounts = []string{"/sys/fs/cgroup/unified", "/sys/fs/cgroup"}
		case controllers == "name=systemd":
			mounts = []string{"/sys/fs/cgroup/systemd"}
		}
		for _, mount := range mounts {
			parent := filepath.Join(mount, path)
			if _, err := os.Stat(filepath.Join(parent, "cgroup.procs")); err != nil {
				continue
			}
			folder := filepath.Join(parent, name)
			harness.Must(t, os.Mkdir(folder, 0o755))
			t.Cleanup(func() { removeCgroup(t, folder) })
			folders = append(folders, folder)
			break
		}
	}
	return folders
}

// removeCgroup removes a control group with those in it, once their processes have ended.
func removeCgroup(t *testing.T, folder string) {
	t.Helper()
	harness.Eventually(t, "the end of "+folder, func() bool {
		var all []string
		_ = filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				all = append(all, path)
			}
			return nil
		})
		for _, dir := range slices.Backward(all) {
			_ = os.Remove(dir)
		}
		_, err := os.Stat(folder)
		return errors.Is(err, fs.ErrNotExist)
	})
}

// inCgroups returns the command line that runs a command in control groups.
func inCgroups(folders []string, command ...string) []string {
	script := ""
	for _, folder := range folders {
		script += "echo $$ >" + folder + "/cgroup.procs && "
	}
	return append([]string{"sh", "-c", script + `exec "$@"`, "sh"}, command...)
}

// inGroups returns the processes of control groups and of those in them.
func inGroups(folders []string) (pids []int) {
	for _, folder := range folders {
		_ = filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.Name() != "cgroup.procs" {
				return nil
			}
			list, _ := os.ReadFile(path)
			for f := range strings.FieldsSeq(string(list)) {
				if pid, err := strconv.Atoi(f); err == nil && pid > 1 && pid != os.Getpid() {
					pids = append(pids, pid)
				}
			}
			return nil
		})
	}
	return pids
}
