// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"errors"
	"time"

	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// start puts the program before the socket, or says why not. Whatever an earlier daemon
// has left is taken over or ends.
func (r *Responder) start() {
	r.stopRetry()
	f, why := r.pins()
	err := r.obstacle(why)
	if err == nil {
		err = r.run(f, why)
	}
	if err == nil {
		r.leaveBehind()
		return
	}
	// What is leaving answers until something has taken its place. Whoever ends it looks then
	// for what else is left.
	if r.leaving != nil || f != nil && r.endsLater(f) {
		r.fallBack(err)
		return
	}
	r.fallBack(r.lookBehind(err, r.endEarlier(f)))
}

// obstacle returns what keeps the program from being tried, nil if nothing does: then nothing
// is done to what an earlier daemon has left. why is why it cannot be pinned.
func (r *Responder) obstacle(why error) error {
	if err := usable(&r.config, r.options); err != nil {
		return err
	}
	if r.config.FastPath == rules.FastPathAuto && errors.Is(why, errForeign) {
		return why
	}
	if err := r.unfit(); err != nil {
		return err
	}
	r.liftRefusalsHere()
	return r.allRefused()
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

// fallBack leaves everything to the packet socket.
func (r *Responder) fallBack(why error) {
	if r.fast != nil {
		if err := r.fast.close(r.counters); err != nil {
			r.log().Warn("detaching the program failed", "err", err)
		}
		r.fast = nil
	}
	path := r.Listener.Path()
	path.Since, path.Leaving = time.Now(), r.leaving != nil
	if before := r.Path(); before.Way == path.Way && !before.Since.IsZero() {
		path.Since = before.Since
	}
	if !errors.Is(why, errNotAsked) {
		path.Why = why.Error()
	}
	r.stopRetry()
	path.Left = r.leftover
	switch {
	case passes(why):
		path.Again = r.retryLater()
	case r.leftover != "": // it is looked whether that has gone
		r.retryLater()
	}
	r.path.Store(&path)
	r.warnOnce(ndp.WaySocket, path.Why)
}
