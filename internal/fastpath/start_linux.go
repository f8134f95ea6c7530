// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"time"

	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/ringbuf"

	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// start puts the program before the socket, or says why not. Whatever an earlier daemon
// has left is taken over or ends.
func (r *Responder) start() {
	r.stopRetry()
	f, why := r.pins()
	err := usable(&r.config, r.options)
	if err == nil && r.config.FastPath == rules.FastPathAuto && errors.Is(why, errForeign) {
		err = why
	}
	if err == nil {
		r.liftRefusalsHere()
		err = r.allRefused()
	}
	if err == nil {
		err = r.run(f, why)
	}
	if err == nil {
		return
	}
	if err := r.drop(f); err != nil && err.Error() != r.stays {
		r.log().Warn("what an earlier daemon has left in the kernel stays there", "err", err)
		r.stays = err.Error()
	}
	r.fallBack(r.lookBehind(err))
}

// pins returns the folder of the interface, nil where nothing can be pinned, and why.
func (r *Responder) pins() (*folder, error) {
	if err := onBPFFS(r.options.Directory); err != nil {
		return nil, err
	}
	if r.namespaceErr != nil {
		return nil, r.namespaceErr
	}
	path := r.folderPath()
	for _, at := range []string{path, path + newSuffix} {
		if err := ours(at); err != nil {
			return nil, err
		}
	}
	return &folder{path: path, pin: r.options.pin()}, nil
}

// folderPath returns the folder of the interface, if it has one.
func (r *Responder) folderPath() string {
	return filepath.Join(namespaceFolder(r.options.Directory, r.namespace), folderOf(r.config.Interface))
}

// drop ends what an earlier daemon has left. f is nil where nothing can be pinned.
func (r *Responder) drop(f *folder) error {
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
	err := errors.Join(l.folder.remove(), forgetHearing(&l.about))
	if l.link != nil {
		err = errors.Join(err, l.link.Close())
		l.link = nil
	}
	if l.unfit == nil && int(l.about.Index) != r.Index() { // of a device that has another name by now
		err = errors.Join(err, removeFiltersAt(int(l.about.Index)))
	}
	return errors.Join(err, removeFiltersAt(r.Index()))
}

// wanted returns the way that is tried first.
func (r *Responder) wanted() ndp.Way {
	for _, way := range waysOf(&r.config) {
		if r.refused(way) == nil {
			return way
		}
	}
	return ndp.WaySocket
}

// run loads the program, fills its table, and attaches it: from then on it answers. With
// what an earlier daemon has left, it goes on to answer meanwhile. f is where to pin it, nil
// for why it cannot be pinned.
func (r *Responder) run(f *folder, why error) (err error) {
	var old *left
	if f != nil {
		if old, err = r.inherit(f); err != nil {
			why = errors.Join(why, err)
		}
	}
	if old != nil {
		defer old.close()
	}
	fast := &running{folder: f, why: why, pins: newBackoff(), climbs: newBackoff(), stop: make(chan struct{}), renew: make(chan struct{}, 1), trouble: func(err error) {
		r.log().Warn("the program in the kernel will stop to answer", "err", err)
	}}
	fast.hold.Store(int64(r.config.Hold()))
	way := r.wanted()
	extra, again := r.extra(old), old.fits(way)
	if fast.program, err = r.load(old, again); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, fast.close(r.counters))
		}
	}()
	p := fast.program
	if again && old.believed() { // a large table takes time
		if err := fast.goOn(old, r.iface); err != nil {
			return err
		}
	}
	if err := p.begin(r.iface, r.view, extra); err != nil {
		return err
	}
	fast.shares.Store(p.shares())
	if _, err := fast.believe(); err != nil {
		return err
	}
	if fast.reader, err = ringbuf.NewReader(p.objects.Records); err != nil {
		return fmt.Errorf("open the program's records: %w", err)
	}
	if again {
		drain(fast.reader, r.counters)
	}
	if fast.device, err = openDevice(r.Index()); err != nil {
		return err
	}
	var failed []attempt
	if again, failed, err = r.hook(fast, old, way, again); err != nil {
		return err
	}
	fast.keep(r.Index(), again)
	if old != nil && !again {
		p.mark(func(a *about) { // of the device, which stays the same
			a.AllMulticast, a.Groups = old.about.AllMulticast, old.about.Groups
		})
		if err := errors.Join(r.endReplaced(fast, old), old.count(r.counters)); err != nil {
			r.log().Warn("what an earlier daemon has left in the kernel stays there", "err", err)
		}
	}
	r.fast, r.left = fast, ""
	r.keepHearing()
	if extra.count() > 0 { // they are believed no longer than without this daemon
		fast.settle = time.AfterFunc(r.config.Hold(), func() { r.settle(fast) })
	}
	fast.tasks.Go(func() { follow(fast.reader, r.ProgramAnswers()) })
	fast.tasks.Go(fast.live)
	r.showWay(fast, failed)
	fast.tasks.Go(func() { r.guard(fast) })
	return nil
}

// inherit opens what an earlier daemon has left on the device. What it has left on another
// one of that name, which is gone, ends.
func (r *Responder) inherit(f *folder) (*left, error) {
	l, err := open(f)
	if err != nil || l == nil || l.on(r.Index()) {
		return l, err
	}
	defer l.close()
	return nil, errors.Join(r.endLeft(l), l.count(r.counters))
}

// extra returns the lines that stay as an earlier daemon has left them, see inherited.
func (r *Responder) extra(l *left) *inherited {
	if l == nil || !l.believed() {
		return nil
	}
	lines, err := l.lines()
	if err != nil { // the packet socket answers for them as soon as there is evidence
		r.log().Warn("the lines of the daemon before are lost", "err", err)
		return nil
	}
	return inherit(lines, r.view)
}

// load loads the program, with the maps that an earlier daemon has left if it goes on with
// them.
func (r *Responder) load(l *left, again bool) (*Program, error) {
	if !again {
		p, err := Load(true) // at XDP it makes no difference
		if err != nil {
			return nil, err
		}
		p.told = about{Layout: layout, Owner: rand.Uint64()} //nolint:gosec // no secret
		return p, p.told.write(p.about)
	}
	p, err := load(true, l.outer)
	if err != nil {
		return nil, err
	}
	return p, p.takeOver(l)
}

// hook attaches the program, or has it take the place of the one that is attached. It
// returns whether the pins of that one are still right, which they are at most if again is
// true, and the better ways that do not answer.
func (r *Responder) hook(fast *running, l *left, way ndp.Way, again bool) (_ bool, failed []attempt, err error) {
	p := fast.program
	if l != nil && l.link != nil {
		h := adopt(l.link, l.about.way(), way)
		if h != nil {
			if err := r.update(h, p, l, again); err == nil {
				fast.hook, l.link = h, nil // the link is the hook's
				return again, nil, nil
			}
		}
		if h != nil || way != ndp.WayTC && isXDP(l.link) { // XDP takes one program only
			p.forget()
			if err := r.endLeft(l); err != nil {
				return false, nil, err
			}
			again = false
		}
	}
	h, failed := r.attach(fast.device, p, ndp.WaySocket)
	if h == nil {
		return false, nil, errorOf(failed)
	}
	fast.hook = h
	return again && h.Way() == way, failed, nil
}

// update has a program take the place of the one that is attached, if that is another.
func (r *Responder) update(h hook, p *Program, l *left, again bool) error {
	program := p.of(h.Way())
	if !again {
		return h.Update(program)
	}
	tag, err := tagOf(program)
	if err != nil || tag == l.tag {
		return err
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

// keep pins what is not pinned yet.
func (f *running) keep(index int, again bool) {
	f.program.mu.Lock()
	defer f.program.mu.Unlock()
	p := f.program
	p.told.Index, p.told.Way = uint32(index), uint32(f.hook.Way()) //nolint:gosec // an index
	if f.why == nil {
		f.why = p.told.write(p.about)
	}
	if f.why != nil || again {
		return
	}
	f.why = f.folder.make(func(next *folder) error { return p.pinAll(next, f.hook) })
	if f.why == nil {
		p.maps.folder = f.folder
	}
}

// endReplaced detaches what another program has taken the place of.
func (r *Responder) endReplaced(fast *running, l *left) error {
	var err error
	if fast.why != nil { // the folder is still the old one
		err = l.folder.remove()
	}
	switch {
	case l.link != nil:
		err = errors.Join(err, l.link.Close())
		l.link = nil
	case l.about.way() == ndp.WayTC && fast.hook.Way() != ndp.WayTC:
		err = errors.Join(err, removeFiltersAt(r.Index()))
	}
	return err
}

// fallBack leaves everything to the packet socket.
func (r *Responder) fallBack(why error) {
	if r.fast != nil {
		if err := r.fast.close(r.counters); err != nil {
			r.log().Warn("detaching the program failed", "err", err)
		}
		r.fast = nil
	}
	path := r.Listener.Path()
	path.Since = time.Now()
	if before := r.Path(); before.Way == path.Way && !before.Since.IsZero() {
		path.Since = before.Since
	}
	if !errors.Is(why, errNotAsked) {
		path.Why = why.Error()
	}
	r.stopRetry()
	path.Left = r.left
	switch {
	case passes(why):
		path.Again = r.retryLater()
	case r.left != "": // it is looked whether that has gone
		r.retryLater()
	}
	r.path.Store(&path)
	r.say(ndp.WaySocket, path.Why)
}
