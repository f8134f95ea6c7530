// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
)

// ErrElsewhere is wrapped by the error of [Detach] for an interface on which a program of a
// daemon is still attached, because it is pinned in another directory.
var ErrElsewhere = errors.New("a program is still attached")

// elsewhere returns an error where a program is still attached to a device of the calling
// thread's network namespace. Who may not look at programs gets none.
func (d *detacher) elsewhere(l netlink.Link, cookie uint64) error {
	hook := attachedTo(l)
	if hook == "" {
		return nil
	}
	device := l.Attrs().Name
	err := fmt.Errorf("detach %s: %w, at %s, and nothing of it is pinned in %s", device, ErrElsewhere, hook, d.Directory)
	if at := directoryOf(cookie, device); at != "" {
		return fmt.Errorf("%w, but in %s", err, at)
	}
	return err
}

// Attached returns where a program of a daemon is attached to a device of the calling
// thread's network namespace, whether that daemon runs or not: "tc ingress", "XDP", or "" for
// nowhere. Who may not look at programs gets "", too.
func Attached(device string) string {
	l, err := netlink.LinkByName(device)
	if err != nil {
		return ""
	}
	if filters, err := ownFilters(l); err == nil && len(filters) > 0 {
		return atIngress
	}
	return attachedTo(l)
}

const atIngress = "tc ingress"

// attachedTo returns where a program of a daemon is attached to a device, "" for nowhere.
func attachedTo(l netlink.Link) string {
	index := l.Attrs().Index
	if q, err := link.QueryPrograms(link.QueryOptions{Target: index, Attach: ebpf.AttachTCXIngress}); err == nil { // Linux 6.6
		for _, p := range q.Programs {
			if nameOf(p.ID) == programProgNdproxydTc {
				return atIngress
			}
		}
	}
	now, err := netlink.LinkByIndex(index) // what l has is of before
	if err != nil || now.Attrs().Xdp == nil {
		return ""
	}
	if nameOf(ebpf.ProgramID(now.Attrs().Xdp.ProgId)) == programProgNdproxydXdp {
		return "XDP"
	}
	return ""
}

// nameOf returns the name of a program, "" where that cannot be known.
func nameOf(id ebpf.ProgramID) string {
	p, err := ebpf.NewProgramFromID(id)
	if err != nil {
		return ""
	}
	defer p.Close() //nolint:errcheck // nothing was written
	info, err := p.Info()
	if err != nil {
		return ""
	}
	return info.Name
}

// depth is how far below a mount a directory of pins is looked for.
const depth = 4

// directoryOf returns the directory in which a device's program is pinned, among all BPF
// file systems that are mounted here; "" for none.
func directoryOf(cookie uint64, device string) (directory string) {
	b, err := os.ReadFile("/proc/thread-self/mountinfo")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(b)) { // proc_pid_mountinfo(5)
		before, after, _ := strings.Cut(line, " - ")
		fields := strings.Fields(before)
		if len(fields) < 5 || !strings.HasPrefix(after, "bpf ") {
			continue
		}
		mount := fields[4]
		_ = filepath.WalkDir(mount, func(path string, e fs.DirEntry, err error) error {
			switch {
			case err != nil || !e.IsDir():
				return nil //nolint:nilerr // it is not there, then
			case (&folder{path: filepath.Join(namespaceFolder(path, cookie), folderOf(device))}).complete():
				directory = path
				return fs.SkipAll
			case strings.Count(strings.TrimPrefix(path, mount), "/") >= depth:
				return fs.SkipDir
			}
			return nil
		})
		if directory != "" {
			return directory
		}
	}
	return ""
}
