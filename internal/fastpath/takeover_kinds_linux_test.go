// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
	"github.com/ndproxyd/ndproxyd/test/conformance"
)

// folderPath returns the folder that the one daemon of a stage pins in.
func (s *stage) folderPath() string {
	s.t.Helper()
	found, err := filepath.Glob(filepath.Join(s.directory, "*", onDevice))
	check(s.t, err)
	if len(found) != 1 {
		s.t.Fatalf("there is %v", found)
	}
	return found[0]
}

// aboutNow changes what the folder tells of itself.
func (s *stage) aboutNow(change func(*about)) {
	s.t.Helper()
	m, err := ebpf.LoadPinnedMap(filepath.Join(s.folderPath(), pinnedAbout), nil)
	check(s.t, err)
	defer m.Close()
	a, err := readAbout(m)
	check(s.t, err)
	change(&a)
	check(s.t, a.write(m))
}

// repin has a name in the folder stand for something else.
func (s *stage) repin(name string, fd int) {
	s.t.Helper()
	f := folder{path: s.folderPath(), pin: pinObject}
	check(s.t, f.aside(name, fd))
	check(s.t, f.renew(name))
}

func makeMap(t *testing.T, spec *ebpf.MapSpec) *ebpf.Map {
	t.Helper()
	m, err := ebpf.NewMap(spec)
	check(t, err)
	t.Cleanup(func() { _ = m.Close() })
	return m
}

// attached returns the link and the program at tc ingress.
func (s *stage) attached() (id link.ID, program ebpf.ProgramID) {
	s.t.Helper()
	check(s.t, s.node.Do(func() error {
		l, err := link.LoadPinnedLink(filepath.Join(s.folderPath(), pinnedLink), nil)
		if err != nil {
			return err
		}
		defer l.Close()
		info, err := l.Info()
		if err != nil {
			return err
		}
		id, program = info.ID, info.Program
		return nil
	}))
	return id, program
}

// TestTakeOverKinds takes over what daemons of all kinds have left. A target that both
// have is answered throughout, and nothing is left at the end.
func TestTakeOverKinds(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change                func(t *testing.T, s *stage)
		sameLink, sameProgram bool
		inherited             int
		lost                  bool // what was answered before is not counted
	}{
		"the same version": {change: func(*testing.T, *stage) {}, sameLink: true, sameProgram: true, inherited: 1},
		"another program": {change: func(t *testing.T, s *stage) {
			p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SchedCLS, License: "Apache-2.0", Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, -1), asm.Return()}})
			check(t, err)
			defer p.Close()
			s.repin(pinnedProgram, p.FD())
		}, sameLink: true, inherited: 1},
		"a newer layout": {change: func(_ *testing.T, s *stage) {
			s.aboutNow(func(a *about) { a.Layout = layout + 1 })
		}, sameLink: true, lost: true},
		"an older layout": {change: func(_ *testing.T, s *stage) {
			s.aboutNow(func(a *about) { a.Layout = layout - 1 })
		}, sameLink: true, lost: true},
		"another size of what is told": {change: func(t *testing.T, s *stage) {
			s.repin(pinnedAbout, makeMap(t, &ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 128, MaxEntries: 1}).FD())
		}, sameLink: true, lost: true},
		"another size of counters": {change: func(t *testing.T, s *stage) {
			s.repin(programMapCounters, makeMap(t, &ebpf.MapSpec{Type: ebpf.PerCPUArray, KeySize: 4, ValueSize: 200, MaxEntries: 1}).FD())
		}, sameLink: true, lost: true},
		"without a map of this version": {change: func(t *testing.T, s *stage) {
			check(t, os.Remove(filepath.Join(s.folderPath(), programMapRecords)))
		}, sameLink: true, lost: true},
		"facts that nobody reads": {change: func(t *testing.T, s *stage) {
			s.repin(pinnedFacts, makeMap(t, &ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: factsSize(t), MaxEntries: 1}).FD())
		}, sameLink: true, lost: true},
		"a table that nobody reads": {change: func(t *testing.T, s *stage) {
			spec := &ebpf.MapSpec{Type: ebpf.Hash, KeySize: 20, ValueSize: 4, MaxEntries: 8, Flags: unix.BPF_F_NO_PREALLOC}
			s.repin(slotName(1, 0), makeMap(t, spec).FD())
		}, sameLink: true, lost: true},
		"a sign of life that cannot be given": {change: frozen(programMapLife), sameLink: true, lost: true},
		"folder that cannot be marked":        {change: frozen(pinnedAbout), sameLink: true, lost: true},
		"facts that cannot be replaced":       {change: frozen(programMapConfig), sameLink: true, lost: true},
		"lines that cannot be replaced":       {change: frozen(programMapLines), sameLink: true, lost: true},
		"tries that cannot be replaced":       {change: frozen(programMapTries), sameLink: true, lost: true},
		"records that cannot be read":         {change: frozen(programMapRecords), sameLink: true, lost: true},
		"facts that cannot be changed":        {change: frozen(pinnedFacts), sameLink: true, sameProgram: true, inherited: 1},
		"lines that cannot be changed":        {change: frozen(slotName(1, 0)), sameLink: true, sameProgram: true, inherited: 1},
		"tries that cannot be changed":        {change: frozen(slotName(1, 1)), sameLink: true, sameProgram: true, inherited: 1},
		"counters that cannot be changed":     {change: frozen(programMapCounters), sameLink: true, sameProgram: true, inherited: 1},
		"attached another way": {change: func(_ *testing.T, s *stage) {
			s.config.FastPath = rules.FastPathXDPGeneric
		}, inherited: 1},
		"an end before the facts got their name": {change: func(t *testing.T, s *stage) {
			path := filepath.Join(s.folderPath(), pinnedFacts)
			check(t, os.Rename(path, path+newSuffix))
			f := folder{path: s.folderPath(), pin: pinObject}
			check(t, f.pinMap(pinnedFacts, makeMap(t, &ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: factsSize(t), MaxEntries: 1})))
		}, sameLink: true, sameProgram: true, inherited: 1},
		"an end before the folder got its name": {change: func(t *testing.T, s *stage) {
			check(t, os.Rename(s.folderPath(), s.folderPath()+newSuffix))
		}, sameLink: true, sameProgram: true, inherited: 1},
		"an end while the folder was replaced": {change: func(t *testing.T, s *stage) {
			path := s.folderPath()
			check(t, os.Rename(path, path+newSuffix))
			check(t, os.Mkdir(path, 0o700))
		}, sameLink: true, sameProgram: true, inherited: 1},
		"an end while a folder was made": {change: func(t *testing.T, s *stage) {
			check(t, os.Mkdir(s.folderPath()+newSuffix, 0o700))
			f := folder{path: s.folderPath() + newSuffix, pin: pinObject}
			check(t, f.pinMap(pinnedFacts, makeMap(t, &ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1})))
		}, sameLink: true, sameProgram: true, inherited: 1},
		"not believed any more": {change: func(t *testing.T, s *stage) {
			m, err := ebpf.LoadPinnedMap(filepath.Join(s.folderPath(), programMapLife), nil)
			check(t, err)
			defer m.Close()
			check(t, m.Put(uint32(0), &programDeadlines{Until: 1}))
		}, sameLink: true, sameProgram: true},
		"a device of another number": {change: func(t *testing.T, s *stage) {
			check(t, s.node.Delete(onDevice))
			s.veth(conformance.NodeMAC)
		}},
		"another MAC address": {change: func(t *testing.T, s *stage) {
			l, err := s.node.Link.LinkByName(onDevice)
			check(t, err)
			check(t, s.node.Link.LinkSetHardwareAddr(l, conformance.OtherMAC[:]))
		}, sameLink: true, sameProgram: true, inherited: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			route := rules.Rule{Prefix: static("2001:db8:f2::/64").Prefix, Method: rules.Route}
			r := s.listen(view(t, static("2001:db8:f1::/64"), static("2001:db8:f2::7/128"), static("2001:db8:f3::/64")))
			s.want("first", "2001:db8:f1::1", true)
			oldLink, oldProgram := s.attached()
			crash(t, r)
			s.want("without a daemon", "2001:db8:f1::1", true)
			c.change(t, s)
			r = s.listen(view(t, static("2001:db8:f1::/64"), route))
			p := r.Path()
			if p.Unpinned != "" || filepath.Base(p.Pinned) != onDevice || p.Inherited != c.inherited {
				t.Errorf("the path is %+v", p)
			}
			s.want("again", "2001:db8:f1::1", true)
			s.want("again", "2001:db8:f2::7", c.inherited > 0)
			s.want("again", "2001:db8:f3::1", false)
			if mac, ok := s.answered("2001:db8:f1::1", patience); !ok || mac != s.mac() {
				t.Errorf("the answer names %x", mac)
			}
			newLink, newProgram := s.attached()
			if (newLink == oldLink) != c.sameLink || (newProgram == oldProgram) != c.sameProgram {
				t.Errorf("link %d became %d, program %d became %d", oldLink, newLink, oldProgram, newProgram)
			}
			check(t, r.CountDrops())
			want := uint64(4 + c.inherited)
			if c.lost {
				want = 2
			}
			if n := s.byProgram(); n != want {
				t.Errorf("%d answers are counted, not %d", n, want)
			}
			r.Settle()
			s.want("settled", "2001:db8:f2::7", false)
			s.want("settled", "2001:db8:f1::1", true)
			check(t, r.Close())
			s.want("closed", "2001:db8:f1::1", false)
			if left, err := filepath.Glob(filepath.Join(s.directory, "*", "*")); err != nil || len(left) > 0 {
				t.Errorf("%v is left, %v", left, err)
			}
		})
	}
}

// mac returns the device's MAC address.
func (s *stage) mac() [6]byte {
	s.t.Helper()
	l, err := s.node.Link.LinkByName(onDevice)
	check(s.t, err)
	return [6]byte(l.Attrs().HardwareAddr)
}

func factsSize(t *testing.T) uint32 {
	t.Helper()
	spec, err := loadProgram()
	check(t, err)
	return spec.Maps[programMapConfig].InnerMap.ValueSize
}

// TestAttachTypes holds what no later version may change: a link takes no program of
// another type, nor of another expected attach type.
func TestAttachTypes(t *testing.T) {
	t.Parallel()
	spec, err := loadProgram()
	check(t, err)
	for name, want := range map[string]struct {
		kind ebpf.ProgramType
		at   ebpf.AttachType
	}{programProgNdproxydTc: {ebpf.SchedCLS, ebpf.AttachNone}, programProgNdproxydXdp: {ebpf.XDP, ebpf.AttachXDP}} {
		if p := spec.Programs[name]; p.Type != want.kind || p.AttachType != want.at {
			t.Errorf("%s is of %s and %s", name, p.Type, p.AttachType)
		}
	}
}
