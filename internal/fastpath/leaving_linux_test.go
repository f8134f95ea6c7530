// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"

	"github.com/ndproxyd/ndproxyd/pkg/hostwatch"
	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// TestLeaving has a program at tc ingress stay where settings ask for another way, until
// something else keeps unicast solicitations from the kernel, or nothing does for long.
func TestLeaving(t *testing.T) {
	t.Parallel()
	relieve := func(_ *testing.T, r *Responder) { r.Relieve() }
	off := func(u *rules.Uplink) { u.FastPath = rules.FastPathOff }
	for name, c := range map[string]struct {
		config  func(*rules.Uplink) // what the settings are changed to
		reload  bool                // of one responder; otherwise the next daemon has them
		clsact  bool
		loose   bool // nothing can be pinned
		at      bool // the program goes at once
		ends    func(*testing.T, *Responder)
		follows ndp.Way
	}{
		"the next daemon":            {config: off, ends: relieve},
		"the next daemon, clsact":    {config: off, clsact: true, ends: relieve},
		"a reload":                   {config: off, reload: true, ends: relieve},
		"a reload, clsact":           {config: off, reload: true, clsact: true, ends: relieve},
		"a reload, unpinned":         {config: off, reload: true, loose: true, ends: relieve},
		"a reload, unpinned, clsact": {config: off, reload: true, clsact: true, loose: true, ends: relieve},
		"nobody relieves it":         {config: off, ends: func(*testing.T, *Responder) {}},
		"the daemon stops":           {config: off, ends: func(t *testing.T, r *Responder) { check(t, r.Hold()) }},
		"XDP":                        {config: func(u *rules.Uplink) { u.FastPath = rules.FastPathXDPGeneric }, ends: relieve, follows: ndp.WayXDPGeneric},
		"XDP, clsact":                {config: func(u *rules.Uplink) { u.FastPath = rules.FastPathXDPGeneric }, clsact: true, ends: relieve, follows: ndp.WayXDPGeneric},
		"XDP after a reload":         {config: func(u *rules.Uplink) { u.FastPath = rules.FastPathXDPGeneric }, reload: true, ends: relieve, follows: ndp.WayXDPGeneric},
		"XDP after a reload, clsact": {config: func(u *rules.Uplink) { u.FastPath = rules.FastPathXDPGeneric }, reload: true, clsact: true, ends: relieve, follows: ndp.WayXDPGeneric},
		"what it cannot count":       {config: func(u *rules.Uplink) { u.LimitPerAsker = 1000 }, ends: relieve},
		"nothing is to be kept":      {config: func(u *rules.Uplink) { u.FastPath, u.ConsumeUnicast = rules.FastPathOff, false }, reload: true, at: true},
		"the socket is early":        {config: func(u *rules.Uplink) { u.FastPath, u.Early = rules.FastPathOff, true }, at: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			s.options.withoutTCX = c.clsact
			s.options.within = func(f func()) { check(t, s.node.Do(func() error { f(); return nil })) }
			s.config.ConsumeUnicast = true
			if c.loose {
				s.config.FastPath = rules.FastPathTC
				s.options.pinWith = func(int, string) error { return errors.New("no room") }
			}
			v := view(t, static("2001:db8:f1::/64"))
			r := s.listen(v)
			_, first := s.programs()
			if first == 0 {
				t.Fatal("there is no program")
			}
			if c.reload {
				c.config(&s.config)
				check(t, s.node.Do(func() error {
					link, err := hostwatch.ReadLink(onDevice, 0)
					r.SetInterface(ndp.NewInterface(link, s.config))
					return err
				}))
			} else {
				check(t, r.Hold())
				c.config(&s.config)
				r = s.listen(v)
			}
			if p := r.Path(); p.Way != c.follows || p.Leaving == c.at {
				t.Errorf("the path is %+v", p)
			}
			s.want("meanwhile", "2001:db8:f1::1", true)
			if !c.at {
				if _, now := s.programs(); now != first {
					t.Errorf("at tc ingress is program %d, not %d any more", now, first)
				}
				check(t, s.node.Do(func() error { c.ends(t, r); return nil }))
			}
			for last := time.Now().Add(10 * reliefWait); ; time.Sleep(10 * time.Millisecond) {
				n, _ := s.programs()
				if n == 0 && !r.Path().Leaving {
					break
				}
				if time.Now().After(last) {
					t.Fatalf("%d programs are left, and the path is %+v", n, r.Path())
				}
			}
			left, err := filepath.Glob(filepath.Join(s.directory, "*", "*"))
			if check(t, err); (len(left) > 0) != (c.follows != ndp.WaySocket) {
				t.Errorf("pinned is %v", left)
			}
			if !r.ended {
				s.want("then", "2001:db8:f1::1", true)
				check(t, s.node.Do(r.Close))
			}
		})
	}
}

// programs returns how many programs there are at tc ingress, and the number of the first.
func (s *stage) programs() (n int, id ebpf.ProgramID) {
	s.t.Helper()
	l, err := s.node.Link.LinkByName(onDevice)
	check(s.t, err)
	filters, err := s.node.Link.FilterList(l, netlink.HANDLE_MIN_INGRESS)
	check(s.t, err)
	for _, f := range filters {
		id = ebpf.ProgramID(f.(*netlink.BpfFilter).Id)
	}
	check(s.t, s.node.Do(func() error {
		q, err := link.QueryPrograms(link.QueryOptions{Target: l.Attrs().Index, Attach: ebpf.AttachTCXIngress})
		if err == nil {
			n = len(q.Programs) + len(filters)
		}
		if n > len(filters) {
			id = q.Programs[0].ID
		}
		return err
	}))
	return n, id
}
