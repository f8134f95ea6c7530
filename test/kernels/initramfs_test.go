// SPDX-License-Identifier: Apache-2.0

//go:build full

package kernels

import (
	"bytes"
	"fmt"
	"os"
	"strings"
)

// initramfs is an archive that a kernel unpacks into its first root file system: cpio in the
// form "newc" of the kernel's Documentation/driver-api/early-userspace/buffer-format.rst.
type initramfs struct {
	bytes.Buffer
	inode int
}

// The kinds of files in an initramfs, with their permissions.
const (
	directory  = 0o040755
	program    = 0o100755
	characters = 0o020600
)

// add adds a file; major and minor are a device's numbers.
func (r *initramfs) add(name string, mode int, content []byte, major, minor int) {
	r.inode++
	fmt.Fprintf(r, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x",
		r.inode, mode, 0, 0, 1, 0, len(content), 0, 0, major, minor, len(name)+1, 0)
	r.WriteString(name)
	r.WriteByte(0)
	r.pad()
	r.Write(content)
	r.pad()
}

// pad fills up to a multiple of four octets.
func (r *initramfs) pad() { r.WriteString(strings.Repeat("\x00", -r.Len()&3)) }

// newInitramfs returns an archive with a console and folders of files, each of which is
// given by its name there and its path here.
func newInitramfs(folders []string, files map[string]string) ([]byte, error) {
	r := new(initramfs)
	for _, name := range append(folders, "dev") {
		r.add(name, directory, nil, 0, 0)
	}
	r.add("dev/console", characters, nil, 5, 1)
	for name, path := range files {
		content, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		r.add(name, program, content, 0, 0)
	}
	r.add("TRAILER!!!", 0, nil, 0, 0)
	return r.Bytes(), nil
}
