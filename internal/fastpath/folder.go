// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"path/filepath"
	"strconv"
	"strings"
)

// newSuffix ends the name of a folder that is not complete yet. No interface's folder ends
// so, because folderOf leaves no % that no two digits follow.
const newSuffix = "%new"

// namespaceFolder returns the folder of a network namespace, which has a folder for each
// interface.
func namespaceFolder(directory string, cookie uint64) string {
	return filepath.Join(directory, strconv.FormatUint(cookie, 10))
}

// folderOf returns the name of an interface's folder. bpffs reserves dots, and refuses names
// with one; devices of VLANs often have one.
func folderOf(device string) string {
	return strings.NewReplacer("%", "%25", ".", "%2e").Replace(device)
}

// deviceOf returns the interface of which a folder is, complete or not.
func deviceOf(folder string) string {
	return strings.NewReplacer("%25", "%", "%2e", ".").Replace(strings.TrimSuffix(folder, newSuffix))
}
