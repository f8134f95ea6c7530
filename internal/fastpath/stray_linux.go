// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// stray is a program of ours that is attached to a device, and that no daemon writes to any
// more: it answers from the table of one that has ended for as long as that is believed. It
// comes of pins that are lost, or that others can change, or in another directory.
type stray struct {
	attached
	name   string
	folder string // that it is pinned in; "" where that was not looked for
}

// String says where it is attached.
func (s *stray) String() string { return fmt.Sprintf("the program %s at %s", s.name, s.at) }

// straysOn returns the programs of ours that are attached to a device of the calling
// thread's network namespace, but for those that own picks, see straysAmong.
func straysOn(index int, pins *pinnedPrograms, own func(*attached) bool) (strays []stray, unknown int, err error) {
	all, err := attachedTo(index)
	strays, unknown, nerr := straysAmong(slices.DeleteFunc(all, func(a attached) bool { return own(&a) }), pins)
	return strays, unknown, errors.Join(err, nerr)
}

// straysAmong returns those of the programs that are ours. The name tells whose a program is: to
// read it takes CAP_SYS_ADMIN, or a pin that can be seen. unknown is how many there are of which
// neither tells.
func straysAmong(all []attached, pins *pinnedPrograms) (strays []stray, unknown int, err error) {
	for _, a := range all {
		s := stray{attached: a, name: programPrefix + "tc"}
		known := a.filter != nil && a.filter.Name == filterName
		if !known {
			var nerr error
			s.name, known, nerr = nameByID(a.id)
			err = errors.Join(err, nerr)
		}
		if !known {
			s.name, s.folder = pins.find(a.id)
			known = s.name != ""
		}
		switch {
		case !known:
			unknown++
		case strings.HasPrefix(s.name, programPrefix):
			strays = append(strays, s)
		}
	}
	return strays, unknown, err
}

// Attached returns where a program of a daemon is attached to a device of the calling
// thread's network namespace, whether that daemon runs or not: "tc ingress", "XDP", or "" for
// nowhere. Who may not look at programs gets "" where neither a filter's name nor a pin tells.
func Attached(device string) string {
	l, err := net.InterfaceByName(device)
	if err != nil {
		return ""
	}
	strays, _, _ := straysOn(l.Index, new(pinnedPrograms), func(*attached) bool { return false })
	if len(strays) == 0 {
		return ""
	}
	return strays[0].at
}

// pinnedPrograms are the programs that daemons have pinned, as they were when the first one was
// asked for: to look takes a walk of each bpffs, and there may be a program to be asked for on each
// of many devices. It is for one call, and not safe for concurrent use.
type pinnedPrograms struct {
	all map[ebpf.ProgramID]pinnedIn // nil before the walk
}

type pinnedIn struct{ name, folder string }

// find returns the name of a program, and the folder that it is pinned in; "" where none is seen.
func (p *pinnedPrograms) find(id ebpf.ProgramID) (name, folder string) {
	if p.all == nil {
		p.all = make(map[ebpf.ProgramID]pinnedIn)
		for _, folder := range visibleFolders() {
			info := pinnedProgramIn(folder)
			if info == nil {
				continue
			}
			if is, ok := info.ID(); ok && p.all[is].folder == "" {
				p.all[is] = pinnedIn{info.Name, folder}
			}
		}
	}
	return p.all[id].name, p.all[id].folder
}

// pinnedProgramIn looks at the program that is pinned in a folder, nil if there is none. A
// bpffs that cannot be written to has programs, but no links, opened.
func pinnedProgramIn(folder string) *ebpf.ProgramInfo {
	p, err := ebpf.LoadPinnedProgram(filepath.Join(folder, pinnedProgram), &ebpf.LoadPinOptions{ReadOnly: true})
	if err != nil {
		return nil
	}
	defer func() { _ = p.Close() }()
	info, err := p.Info()
	if err != nil {
		return nil
	}
	return info
}

// detachAll detaches strays from the device with that index. It returns which have gone, and
// which stay, with the errors.
func detachAll(strays []stray, index int) (gone, stay []string, err error) {
	for i := range strays {
		s := &strays[i]
		if e := s.detach(index); e != nil {
			stay, err = append(stay, s.String()), errors.Join(err, fmt.Errorf("%s: %w", s, e))
			continue
		}
		gone = append(gone, s.String())
	}
	return gone, stay, err
}

// detach detaches it from the device with that index.
func (s *stray) detach(index int) error {
	if s.filter != nil {
		if err := netlink.FilterDel(s.filter); err != nil && !gone(err) {
			return fmt.Errorf("remove filter: %w", err)
		}
		return nil
	}
	if s.folder != "" { // which it was found by, so that its number is of no use
		return endPinnedLink(filepath.Join(s.folder, pinnedLink), s.id)
	}
	ended, err := endLinks(s.id, s.link)
	switch {
	case err != nil || ended > 0:
		return err
	case s.at == atXDP:
		if err := netlink.LinkSetXdpFdWithFlags(&netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: index}}, -1, s.mode); err != nil {
			return fmt.Errorf("detach from XDP: %w", err)
		}
		return nil
	}
	p, err := ebpf.NewProgramFromID(s.id)
	if err != nil {
		return fmt.Errorf("open program: %w", err)
	}
	err = link.RawDetachProgram(link.RawDetachProgramOptions{Target: index, Program: p, Attach: ebpf.AttachTCXIngress})
	return errors.Join(err, p.Close())
}

// endPinnedLink detaches the link that is pinned at a path, unless it is another program's.
func endPinnedLink(path string, id ebpf.ProgramID) error {
	l, err := link.LoadPinnedLink(path, nil)
	if err != nil {
		return fmt.Errorf("open pinned link: %w", err)
	}
	info, err := l.Info()
	if err == nil && info.Program != id {
		err = fmt.Errorf("%s is the link of another program", path)
	}
	if err != nil {
		return errors.Join(err, l.Close())
	}
	return endLink(l)
}

// endLinks detaches the links of a program, of which one may be known, by their numbers. It
// returns how many there were.
func endLinks(id ebpf.ProgramID, known link.ID) (ended int, err error) {
	if known != 0 {
		l, err := link.NewFromID(known)
		if errors.Is(err, unix.ENOENT) { // it has ended meanwhile
			return 1, nil
		}
		if err != nil {
			return 0, err
		}
		return 1, endLink(l)
	}
	for deadline := time.Now().Add(attaching); ; time.Sleep(time.Millisecond) {
		n, err := endLinksOnce(id)
		ended += n
		if !errors.Is(err, unix.EAGAIN) || time.Now().After(deadline) {
			return ended, err
		}
	}
}

// attaching is how long a link of anybody's may take to be attached: meanwhile it cannot be
// looked at, and nor can those after it (EAGAIN).
const attaching = time.Second

func endLinksOnce(id ebpf.ProgramID) (ended int, err error) {
	var links link.Iterator
	defer links.Close()
	for links.Next() {
		info, ierr := links.Link.Info()
		if ierr != nil || info.Program != id || info.Type != link.TCXType && info.Type != link.XDPType {
			continue
		}
		ended++
		err = errors.Join(err, endLink(links.Take()))
	}
	return ended, errors.Join(err, links.Err())
}
