// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// readFastPath reads what answers before the packet socket. Helm and other programs
// that know YAML 1.1 write false where somebody has given them off.
func readFastPath(v value, into *rules.FastPathMode) {
	if v.node.Kind == yaml.ScalarNode && v.node.Value == "false" {
		*into = rules.FastPathOff
		return
	}
	readName(v, into, rules.FastPathModeNames())
}

// fastPathDirectory reads where programs in the kernel are pinned.
func (f *fileReader) fastPathDirectory(v value) {
	s, ok := v.text()
	if !ok {
		return
	}
	if err := CheckFastPathDirectory(s); err != nil {
		v.fail("%v", err)
	}
	f.config.FastPathDirectory = filepath.Clean(s)
}

// CheckFastPathDirectory checks the name of a directory for pinned programs. Whether
// it is in a bpffs is known at the start of the daemon only, and "ndproxyd status" tells.
func CheckFastPathDirectory(s string) error {
	switch {
	case !filepath.IsAbs(s) || strings.ContainsRune(s, 0):
		return fmt.Errorf("%q is not an absolute path (example: %q)", s, DefaultFastPathDirectory)
	case filepath.Clean(s) == "/":
		return fmt.Errorf("%q is no directory of a bpffs: name one in it (example: %q)", s, DefaultFastPathDirectory)
	// The kernel reserves such names for itself (bpf_lookup in kernel/bpf/inode.c).
	case strings.Contains(filepath.Base(filepath.Clean(s)), "."):
		return fmt.Errorf("%q has a dot in its last part, which a bpffs refuses: name another directory (example: %q)", s, DefaultFastPathDirectory)
	}
	return nil
}
