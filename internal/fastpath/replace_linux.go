// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"errors"

	"github.com/cilium/ebpf/link"

	"github.com/ndproxyd/ndproxyd/pkg/ndp"
)

// openLeft opens what an earlier daemon has left on the device. What it has left on another
// one of that name, which is gone, ends. f is nil where nothing can be pinned.
func (r *Responder) openLeft(f *folder) (*left, error) {
	if f == nil {
		return nil, nil
	}
	l, err := open(f)
	if err != nil || l == nil || l.on(r.Index()) {
		return l, err
	}
	defer l.close()
	return nil, errors.Join(r.endLeft(l), l.count(r.counters))
}

// takeHook attaches the program, or has it take the place of the one that is attached. It
// returns whether the pins of that one are still right, which they are at most with reuse of
// its maps, and the better ways that do not answer.
func (r *Responder) takeHook(fast *running, l *left, way ndp.Way, reuse bool) (_ bool, failed []attempt, err error) {
	p := fast.program
	if l != nil && l.link != nil {
		h := adopt(l.link, l.program, l.about.way(), way)
		if h != nil {
			if err := r.update(h, p, l, reuse); err == nil {
				fast.hook, l.link = h, nil // the link is the hook's
				return reuse, nil, nil
			}
		}
		if h != nil || way != ndp.WayTC && isXDP(l.link) { // XDP takes one program only
			p.pinLater()
			if err := r.endLeft(l); err != nil {
				return false, nil, err
			}
			reuse = false
		}
	}
	h, failed := r.attach(fast.device, p, ndp.WaySocket)
	if h == nil {
		return false, nil, errorOf(failed)
	}
	fast.hook = h
	return reuse && h.Way() == way, failed, nil
}

// update has a program take the place of the one that is attached, if that is another.
func (r *Responder) update(h hook, p *Program, l *left, reuse bool) error {
	program := p.of(h.Way())
	if !reuse {
		return h.Update(program)
	}
	tag, err := tagOf(program)
	if err != nil {
		return err
	}
	replaced := h.Attached()
	if tag == l.tag && replaced == nil {
		return nil
	}
	if replaced != nil {
		r.log().Warn("the program that an earlier daemon has left is put back into its place", "why", replaced)
	}
	if err := l.folder.aside(pinnedProgram, program.FD()); err != nil {
		return err
	}
	if err := h.Update(program); err != nil {
		return err
	}
	return l.folder.renew(pinnedProgram)
}

func isXDP(l link.Link) bool {
	info, err := l.Info()
	return err == nil && info.Type == link.XDPType
}

// replace ends what an earlier daemon has left, and the program has taken the place of.
func (r *Responder) replace(fast *running, old *left) {
	fast.program.mark(func(a *about) { // of the device, which stays the same
		a.AllMulticast, a.Groups = old.about.AllMulticast, old.about.Groups
	})
	if err := errors.Join(r.endReplaced(fast, old), old.count(r.counters)); err != nil {
		r.log().Warn("what an earlier daemon has left in the kernel stays there", "err", err)
	}
}

// endReplaced detaches what another program has taken the place of.
func (r *Responder) endReplaced(fast *running, l *left) error {
	var err error
	if fast.why != nil { // the folder is still the old one
		err = l.folder.remove()
	}
	var end func() error
	switch {
	case l.link != nil:
		ended := l.link
		end = func() error { return endLink(ended) }
	case l.way() == ndp.WayTC && fast.hook.Way() != ndp.WayTC:
		end = func() error { return removeFiltersAt(r.Index()) }
	default:
		return err
	}
	later := fast.hook.Way() != ndp.WayTC && r.replaceable(l.way())
	l.link = nil
	if later {
		r.endLater(nil, end)
		return err
	}
	return errors.Join(err, end())
}

// endEarlier ends what an earlier daemon has left. f is nil where nothing can be pinned.
func (r *Responder) endEarlier(f *folder) error {
	if f == nil {
		return removeFiltersAt(r.Index())
	}
	l, err := open(f)
	if l == nil {
		return errors.Join(err, removeFiltersAt(r.Index()))
	}
	defer l.close()
	return errors.Join(r.endLeft(l), l.count(r.counters))
}

// endLeft detaches what an earlier daemon has left. Its maps can still be read.
func (r *Responder) endLeft(l *left) error {
	err := errors.Join(l.folder.remove(), forgetHearing(&l.about), l.detach())
	if l.unusable == nil && int(l.about.Index) != r.Index() { // of a device that has another name by now
		err = errors.Join(err, removeFiltersAt(int(l.about.Index)))
	}
	return errors.Join(err, removeFiltersAt(r.Index()))
}
