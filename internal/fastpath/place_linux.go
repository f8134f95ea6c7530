// SPDX-License-Identifier: Apache-2.0

package fastpath

import "time"

// place has the packet socket hear where r.config says. Where that fails the socket stays where
// it is, and r.config says where that is, because what may answer beside it depends on that. It
// is tried again later, or when the settings change: not each time the uplink tells its facts,
// because the program goes for each attempt, and the answers wait.
func (r *Responder) place() {
	r.stopMove()
	err := r.setEarly(r.config.Early)
	if err == nil {
		r.unmoved = ""
		return
	}
	if why := err.Error(); why != r.unmoved {
		r.unmoved = why
		r.log().Warn("the packet socket stays where it was", "err", err)
	}
	r.config.Early = !r.config.Early
	now := time.Now()
	r.moveNext = time.AfterFunc(r.moves.next(now).Sub(now), r.moveAgain)
}

// moveAgain tries again to have the packet socket hear where the settings say.
func (r *Responder) moveAgain() {
	r.mu.Lock()
	defer r.mu.Unlock()
	asked := r.iface.Facts().Uplink
	if r.ended || r.config.Early == asked.Early { // it was closed or has moved meanwhile
		return
	}
	r.config = asked
	r.within(r.change)
	r.showPath()
}

// stopMove has it not be tried again by itself.
func (r *Responder) stopMove() {
	if r.moveNext != nil {
		r.moveNext.Stop()
		r.moveNext = nil
	}
}

func (r *Responder) setEarly(early bool) error {
	if r.options.move != nil {
		return r.options.move(early)
	}
	return r.SetEarly(early)
}
