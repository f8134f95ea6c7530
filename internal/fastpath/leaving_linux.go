// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"errors"
	"time"

	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// reliefWait is how long a program that keeps unicast solicitations from the kernel's IPv6
// stays, without a word of Relieve, when another way answers. An nftables table in its place
// takes milliseconds, or 150 ms an uplink where it is as large as can be.
const reliefWait = 2 * time.Second

// leaving is what goes as soon as something else keeps unicast solicitations from the
// kernel's IPv6.
type leaving struct {
	fast  *running // with a table that follows the view; nil where an earlier daemon's is left
	ends  []func() error
	timer *time.Timer
}

// replaceable reports whether a program that is attached that way keeps unicast solicitations
// from the kernel's IPv6, and an nftables table is to do so when the program goes. An early
// socket hears what a program at tc ingress answers: it must not stay beside one.
func (r *Responder) replaceable(way ndp.Way) bool {
	return way == ndp.WayTC && r.config.ConsumeUnicast && !r.config.Early
}

// endLater calls end once something else keeps unicast solicitations from the kernel's IPv6.
// fast is the program that goes then, nil for an earlier daemon's.
func (r *Responder) endLater(fast *running, end func() error) {
	if r.leaving == nil {
		l := new(leaving)
		l.timer = time.AfterFunc(reliefWait, func() { r.relieve(l) })
		r.leaving = l
	}
	if fast != nil {
		r.leaving.fast = fast
	}
	r.leaving.ends = append(r.leaving.ends, end)
}

// Relieve implements [ndp.Responder].
func (r *Responder) Relieve() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.within(r.endLeaving)
}

// relieve does so for what nobody has relieved, unless it has gone meanwhile.
func (r *Responder) relieve(l *leaving) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.leaving != l {
		return
	}
	r.within(r.endLeaving)
	r.showPath()
}

// endLeaving ends what is leaving now.
func (r *Responder) endLeaving() {
	if r.leaving == nil {
		return
	}
	r.leaving.timer.Stop()
	var err error
	for _, end := range r.leaving.ends {
		err = errors.Join(err, end())
	}
	if err != nil {
		r.log().Warn("a program stays in the kernel that does not answer any more", "err", err)
	}
	r.leaving = nil
	r.showLeaving()
	r.leaveBehind()
}

// showLeaving brings the path up to date.
func (r *Responder) showLeaving() {
	path := *r.path.Load()
	path.Leaving = r.leaving != nil
	r.path.Store(&path)
}

// change has the way answer that the settings ask for now. At each moment one does: a
// program at tc ingress has gone before the packet socket moves to where it hears the same
// frames, and comes only when that is behind it. A program at XDP is before both places.
func (r *Responder) change() {
	r.endLeaving()
	keeps := r.keepsWay()
	if !keeps {
		r.setAside()
	}
	r.Listener.SetInterface(r.iface)
	r.place()
	if keeps {
		if err := r.fast.program.SetInterface(r.iface); err == nil {
			r.fast.setHold(r.config.Hold())
			r.fast.rely()
			path := *r.path.Load()
			path.Why = ""
			r.path.Store(&path)
			r.showLines()
			return
		}
	}
	r.setAside()
	r.start()
	if r.fast != nil && r.fast.hook.Way() == ndp.WayTC {
		r.endLeaving()
	}
}

// keepsWay reports whether the program answers in the way that the settings ask for.
func (r *Responder) keepsWay() bool {
	return r.fast != nil && usable(&r.config, r.options) == nil && r.wanted() == r.fast.hook.Way() &&
		(r.config.FastPath != rules.FastPathAuto || r.fast.stays())
}

// setAside leaves everything to the packet socket, or to the program that is about to be
// started. The one that answers goes at once, unless something has to replace it first.
func (r *Responder) setAside() {
	fast := r.fast
	if fast == nil {
		return
	}
	r.fast = nil
	if r.replaceable(fast.hook.Way()) {
		r.endLater(fast, func() error { return fast.close(r.counters) })
		return
	}
	if err := fast.close(r.counters); err != nil {
		r.log().Warn("detaching the program failed", "err", err)
	}
}

// setLeavingView has a program that is leaving answer by another view until it goes.
func (r *Responder) setLeavingView(view *rules.View, deltas []rules.Delta) {
	if r.leaving != nil && r.leaving.fast != nil && r.leaving.fast.program.SetView(view, deltas) != nil {
		r.endLeaving()
	}
}

// endsLater reports whether something has to take the place of an earlier daemon's program
// first. Then what that daemon has left ends afterwards.
func (r *Responder) endsLater(f *folder) bool {
	l, err := open(f)
	if err != nil || l == nil {
		return false
	}
	defer l.close()
	if !r.replaceable(l.way()) {
		return false
	}
	r.endLater(nil, func() error { return r.endEarlier(f) })
	return true
}

// way returns how the program is attached, as far as that can be known.
func (l *left) way() ndp.Way {
	switch {
	case l.unusable == nil:
		return l.about.way()
	case l.link != nil && isXDP(l.link):
		return ndp.WayXDP
	}
	return ndp.WayTC
}
