// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"bufio"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Directories of pins may be anywhere in a bpffs; deeper ones, or in more directories than
// that, are not looked for.
const (
	deepest         = 6
	mostDirectories = 10000
)

// visibleNamespaces returns the folders of network namespaces in all the directories that
// the calling process sees, whoever has made them.
func visibleNamespaces() (folders []string) {
	looked := 0
	var look func(directory string, depth int)
	look = func(directory string, depth int) {
		entries, err := os.ReadDir(directory)
		if looked++; err != nil || depth == 0 || looked > mostDirectories {
			return
		}
		for _, e := range entries {
			path := filepath.Join(directory, e.Name())
			switch _, err := strconv.ParseUint(e.Name(), 10, 64); {
			case !e.IsDir():
			case err == nil:
				folders = append(folders, path)
			default:
				look(path, depth-1)
			}
		}
	}
	for _, mount := range mounts() {
		look(mount, deepest)
	}
	slices.Sort(folders)
	return slices.Compact(folders) // mounts lie within others
}

// visibleFolders returns the folders of interfaces in them.
func visibleFolders() (folders []string) {
	for _, namespace := range visibleNamespaces() {
		entries, err := os.ReadDir(namespace)
		if err != nil {
			continue
		}
		for _, e := range entries {
			if e.IsDir() {
				folders = append(folders, filepath.Join(namespace, e.Name()))
			}
		}
	}
	return folders
}

// elsewhere returns the directories that have a folder of a network namespace, but for one.
func elsewhere(directory string, cookie uint64) (directories []string) {
	own, err := filepath.EvalSymlinks(directory)
	if err != nil {
		own = directory
	}
	name := strconv.FormatUint(cookie, 10)
	for _, folder := range visibleNamespaces() {
		if filepath.Base(folder) != name || filepath.Dir(folder) == own {
			continue
		}
		if a, aerr := os.Stat(folder); aerr == nil { // the same one, mounted twice
			if b, berr := os.Stat(namespaceFolder(own, cookie)); berr == nil && os.SameFile(a, b) {
				continue
			}
		}
		directories = append(directories, filepath.Dir(folder))
	}
	return directories
}

// mounts returns where a bpffs is mounted.
func mounts() (paths []string) {
	f, err := os.Open("/proc/thread-self/mountinfo")
	if err != nil {
		return nil
	}
	defer f.Close() //nolint:errcheck // nothing was written
	unescape := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	for lines := bufio.NewScanner(f); lines.Scan(); {
		before, after, ok := strings.Cut(lines.Text(), " - ")
		fields := strings.Fields(before)
		if ok && len(fields) > 4 && strings.HasPrefix(after, "bpf ") {
			paths = append(paths, unescape.Replace(fields[4]))
		}
	}
	return paths
}
