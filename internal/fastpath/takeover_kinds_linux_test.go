// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/pkg/ndp"
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

// TestUnpinned answers by a program that ends with the daemon where it cannot be pinned.
func TestUnpinned(t *testing.T) {
	t.Parallel()
	full := errors.New("no room")
	for name, c := range map[string]struct {
		prepare func(t *testing.T, s *stage)
		mode    rules.FastPathMode
		way     ndp.Way
		says    string
	}{
		"full": {func(_ *testing.T, s *stage) {
			s.options.pinWith = func(int, string) error { return full }
		}, rules.FastPathTC, ndp.WayTC, full.Error()},
		"full in the middle": {func(_ *testing.T, s *stage) {
			n := 0
			s.options.pinWith = func(fd int, path string) error {
				if n++; n > 7 {
					return full
				}
				return pinObject(fd, path)
			}
		}, rules.FastPathAuto, ndp.WayTC, full.Error()},
		"read-only": {func(t *testing.T, s *stage) {
			check(t, unix.Mount("", filepath.Dir(s.directory), "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
		}, rules.FastPathTC, ndp.WayTC, "read-only file system"},
		"read-only, by itself": {func(t *testing.T, s *stage) {
			check(t, unix.Mount("", filepath.Dir(s.directory), "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
		}, rules.FastPathAuto, ndp.WayTC, "read-only file system"},
		"no bpffs":            {func(t *testing.T, s *stage) { s.options.Directory = t.TempDir() }, rules.FastPathTC, ndp.WayTC, "is not in a bpffs"},
		"no bpffs, by itself": {func(t *testing.T, s *stage) { s.options.Directory = t.TempDir() }, rules.FastPathAuto, ndp.WaySocket, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			c.prepare(t, s)
			s.config.FastPath = c.mode
			r := s.listen(view(t, static("2001:db8:f1::/64")))
			p := r.Path()
			if p.Pinned != "" || !strings.Contains(p.Unpinned, c.says) || p.Way != c.way || (p.Unpinned == "") != (c.says == "") {
				t.Errorf("the path is %+v", p)
			}
			s.want("running", "2001:db8:f1::1", true)
			check(t, r.Hold())
			s.want("ended", "2001:db8:f1::1", false)
			if left, err := filepath.Glob(filepath.Join(s.directory, "*", "*")); err != nil || len(left) > 0 {
				t.Errorf("%v is left, %v", left, err)
			}
		})
	}
}

// TestPinsLost goes on without pins where one cannot be made any more, rather than with
// those of another table.
func TestPinsLost(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	var broken error
	s.options.pinWith = func(fd int, path string) error {
		if broken != nil {
			return broken
		}
		return pinObject(fd, path)
	}
	r := s.listen(view(t, static("2001:db8:f1::/64")))
	if p := r.Path(); p.Pinned == "" {
		t.Fatalf("the path is %+v", p)
	}
	broken = errors.New("no room")
	check(t, r.SetView(view(t, static("2001:db8:f2::/64")), nil))
	if p := r.Path(); p.Pinned != "" || p.Unpinned != "no room" {
		t.Errorf("the path is %+v", p)
	}
	s.want("without pins", "2001:db8:f2::1", true)
	check(t, r.CountDrops())
	if n := s.byProgram(); n != 1 {
		t.Errorf("%d answers are the program's", n)
	}
	check(t, r.Hold())
	s.want("ended", "2001:db8:f2::1", false)
}

// TestPinsRemoved has somebody remove the pins of a program that runs: it is pinned anew.
func TestPinsRemoved(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	r := s.listen(view(t, static("2001:db8:f1::/64")))
	pinned := r.Path().Pinned
	check(t, os.RemoveAll(pinned))
	for last := time.Now().Add(2 * patience); ; time.Sleep(silence) {
		if _, err := os.Lstat(filepath.Join(pinned, pinnedAbout)); err == nil {
			break
		}
		if time.Now().After(last) {
			t.Fatalf("it is not pinned anew: %+v", r.Path())
		}
	}
	crash(t, r)
	s.want("after the crash", "2001:db8:f1::1", true)
}

// TestHoldEnds answers without a daemon for as long as the settings say.
func TestHoldEnds(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(t *testing.T, r *Responder){
		"killed": crash,
		"ended":  func(t *testing.T, r *Responder) { check(t, r.Hold()) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			s.config.FastPathHold = 5 * time.Second // long enough to ask on a host that is busy
			r := s.listen(view(t, static("2001:db8:f1::/64")))
			end(t, r)
			s.want("at first", "2001:db8:f1::1", true)
			for last := time.Now().Add(patience); ; {
				if _, ok := s.answered("2001:db8:f1::1", silence); !ok {
					break
				}
				if time.Now().After(last) {
					t.Fatal("it is answered long after the hold")
				}
			}
			r = s.listen(view(t, static("2001:db8:f1::/64")))
			s.want("again", "2001:db8:f1::1", true)
			check(t, r.Close())
		})
	}
}

// TestTakeOverFilter goes on with a filter of clsact, which is not pinned and stays.
func TestTakeOverFilter(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.options.withoutTCX = true
	r := s.listen(view(t, static("2001:db8:f1::/64")))
	if p := r.Path(); p.Hook != "clsact" || p.Pinned == "" {
		t.Fatalf("the path is %+v", p)
	}
	s.want("first", "2001:db8:f1::1", true)
	crash(t, r)
	s.want("without a daemon", "2001:db8:f1::1", true)
	r = s.listen(view(t, static("2001:db8:f1::/64"), static("2001:db8:f2::/64")))
	s.want("again", "2001:db8:f1::1", true)
	s.want("again", "2001:db8:f2::1", true)
	check(t, r.CountDrops())
	if n := s.byProgram(); n != 4 || r.Path().Pinned == "" {
		t.Errorf("%d answers are counted, the path is %+v", n, r.Path())
	}
	check(t, r.Hold())
	s.want("ended", "2001:db8:f1::1", true)
	s.config.FastPath = rules.FastPathXDPGeneric
	r = s.listen(view(t, static("2001:db8:f1::/64")))
	s.want("by XDP", "2001:db8:f1::1", true)
	if p := r.Path(); p.Way != ndp.WayXDPGeneric {
		t.Errorf("the path is %+v", p)
	}
	check(t, s.node.Do(r.Close))
	s.want("closed", "2001:db8:f1::1", false)
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

// TestReplacedInProcess replaces a responder whose program is not gone on with: what it has
// answered is counted once, and the pins of the next one stay.
func TestReplacedInProcess(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name       string
		was, wants rules.FastPathMode
		early      bool
	}{
		{"another way", rules.FastPathXDPGeneric, rules.FastPathTC, false},
		{"none", rules.FastPathAuto, rules.FastPathAuto, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			s.config.FastPath = tt.was
			old := s.listen(view(t, static("2001:db8:f1::/64")))
			if old.Path().Way == ndp.WaySocket {
				t.Fatalf("the path is %+v", old.Path())
			}
			s.want("before", "2001:db8:f1::1", true)
			s.config.FastPath, s.config.Early = tt.wants, tt.early
			r := s.listen(view(t, static("2001:db8:f1::/64")))
			check(t, old.Close())
			s.want("after", "2001:db8:f1::1", true)
			check(t, r.CountDrops())
			if n, all := s.counters.Answered[ndp.Multicast].Load(), s.byProgram(); n != 2 || tt.early && all != 1 {
				t.Errorf("%d answers are counted, %d of them by the program", n, all)
			}
			if p := r.Path(); p.Pinned != "" {
				if left, err := os.ReadDir(p.Pinned); err != nil || len(left) == 0 {
					t.Errorf("nothing is pinned in %s: %v", p.Pinned, err)
				}
			} else if !tt.early {
				t.Errorf("the path is %+v", p)
			}
			check(t, r.Close())
		})
	}
}

// TestSettleStale settles no program but the one that was meant.
func TestSettleStale(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	route := rules.Rule{Prefix: static("2001:db8:f2::/64").Prefix, Method: rules.Route}
	r := s.listen(view(t, static("2001:db8:f2::7/128")))
	crash(t, r)
	r = s.listen(view(t, route))
	r.settle(new(running)) // a timer of the one before
	if p := r.Path(); p.Inherited != 1 {
		t.Errorf("the path is %+v", p)
	}
	r.Settle()
	if p := r.Path(); p.Inherited != 0 {
		t.Errorf("settled, the path is %+v", p)
	}
	check(t, s.node.Do(r.Close))
}

// TestFilterRenamed removes the filter from a device that has got another name while no
// daemon ran, and whose name is another device's now.
func TestFilterRenamed(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.options.withoutTCX = true
	r := s.listen(view(t, static("2001:db8:f1::/64")))
	s.want("running", "2001:db8:f1::1", true)
	crash(t, r)
	l, err := s.node.Link.LinkByName(onDevice)
	check(t, err)
	check(t, s.node.Link.LinkSetDown(l))
	check(t, s.node.Link.LinkSetName(l, "renamed"))
	check(t, s.node.Link.LinkSetUp(l))
	check(t, s.router.Veth("another", conformance.RouterMAC, s.node, onDevice, conformance.OtherMAC))
	r = s.listen(view(t, static("2001:db8:f1::/64")))
	filters, err := s.node.Link.FilterList(l, netlink.HANDLE_MIN_INGRESS)
	if err != nil || len(filters) > 0 {
		t.Errorf("the filters are %v, %v", filters, err)
	}
	check(t, s.node.Do(r.Close))
}
