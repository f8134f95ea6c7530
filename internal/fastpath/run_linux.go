// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/cilium/ebpf/ringbuf"
)

// run loads the program, fills its table, and attaches it: from then on it answers. With
// what an earlier daemon has left, it goes on to answer meanwhile. f is where to pin it, nil
// for why it cannot be pinned.
func (r *Responder) run(f *folder, why error) (err error) {
	old, err := r.openLeft(f)
	if err != nil {
		why = errors.Join(why, err)
	}
	defer old.close()
	way := r.wanted()
	reuse, earlier := old.reusable(way), r.inheritedFrom(old)
	fast := r.newRunning(f, why)
	if fast.program, err = r.load(old, reuse); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, fast.close(r.counters))
		}
	}()
	if err := r.fill(fast, old, reuse, earlier); err != nil {
		return err
	}
	if err := r.openRecords(fast, reuse); err != nil {
		return err
	}
	if fast.device, err = openDevice(r.Index()); err != nil {
		return err
	}
	reuse, failed, err := r.takeHook(fast, old, way, reuse)
	if err != nil {
		return err
	}
	fast.pin(r.Index(), reuse)
	if old != nil && !reuse {
		r.replace(fast, old)
	}
	r.answerBy(fast, failed)
	if earlier.count() > 0 { // they are believed no longer than without this daemon
		fast.settle = time.AfterFunc(r.config.Hold(), func() { r.settle(fast) })
	}
	return nil
}

// newRunning returns a program that is to answer, without the program yet.
func (r *Responder) newRunning(f *folder, why error) *running {
	fast := &running{
		folder: f, why: why, pins: newBackoff(), climbs: newBackoff(),
		stop: make(chan struct{}), renew: make(chan struct{}, 1),
	}
	fast.giveUp = func(err error) { r.giving.Go(func() { r.giveUp(fast, err) }) }
	fast.hold.Store(int64(r.config.Hold()))
	return fast
}

// inheritedFrom returns the lines that stay as an earlier daemon has left them, see inherited.
func (r *Responder) inheritedFrom(l *left) *inherited {
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
func (r *Responder) load(l *left, reuse bool) (*Program, error) {
	if !reuse {
		p, err := Load(true) // at XDP it makes no difference
		if err != nil {
			return nil, err
		}
		p.about = about{Layout: layout, Owner: rand.Uint64()} //nolint:gosec // no secret
		return p, p.about.write(p.aboutMap)
	}
	p, err := load(true, l.outer)
	if err != nil {
		return nil, err
	}
	return p, p.takeOver(l)
}

// fill fills the table of a program, and has it be believed. Where that takes the place of
// the table of an earlier daemon, that one is believed meanwhile.
func (r *Responder) fill(fast *running, old *left, reuse bool, earlier *inherited) error {
	if reuse && old.believed() { // a large table takes time
		if err := fast.goOn(old, r.iface); err != nil {
			return err
		}
	}
	if err := fast.program.fillTable(r.iface, r.view, earlier); err != nil {
		return err
	}
	fast.relies.Store(fast.program.relies(r.wanted()))
	_, err := fast.believe()
	return err
}

// openRecords opens the program's records. Those that an earlier daemon did not read go.
func (r *Responder) openRecords(fast *running, reuse bool) (err error) {
	if fast.reader, err = ringbuf.NewReader(fast.program.objects.Records); err != nil {
		return fmt.Errorf("open the program's records: %w", err)
	}
	if reuse {
		drain(fast.reader, r.counters)
	}
	return nil
}

// answerBy looks after a program that answers from now on. failed are the better ways that
// do not.
func (r *Responder) answerBy(fast *running, failed []attempt) {
	r.fast, r.leftover = fast, ""
	fast.rely() // it may be attached another way than was tried first
	r.keepHearing()
	r.showWay(fast, failed)
	fast.tasks.Go(func() { follow(fast.reader, r.ProgramAnswers()) })
	fast.tasks.Go(fast.live)
	fast.tasks.Go(func() { r.guard(fast) })
}
