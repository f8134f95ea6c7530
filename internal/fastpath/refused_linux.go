// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"errors"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/pkg/ndp"
)

// refuse keeps the program from a way for a while.
func (r *Responder) refuse(way ndp.Way, why error) {
	f := r.refusals[way]
	if f == nil {
		f = r.options.refusal()
		r.refusals[way] = f
	}
	f.refuse(why, time.Now())
}

// refused returns why the program is kept from a way, nil where it is not.
func (r *Responder) refused(way ndp.Way) error {
	if f := r.refusals[way]; f != nil {
		return f.why
	}
	return nil
}

// allRefused returns why the program is kept from all ways, nil where one is open.
func (r *Responder) allRefused() error {
	var errs []error
	for _, way := range waysOf(&r.config) {
		err := r.refused(way)
		if err == nil {
			return nil
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// liftRefusals looks at the device, and lifts what refusals are over. It reports whether
// there was one.
func (r *Responder) liftRefusals(d *device) (lifted bool) {
	for _, f := range r.refusals {
		if f.why != nil {
			f.look(time.Now(), d.state())
			lifted = lifted || f.why == nil
		}
	}
	return lifted
}

// liftRefusalsHere does so with sockets in the calling thread's network namespace.
func (r *Responder) liftRefusalsHere() {
	if len(r.refusals) == 0 {
		return
	}
	d, err := openDevice(r.Index())
	if err != nil { // the next attempt will look
		return
	}
	defer d.close()
	r.liftRefusals(d)
}

// state looks at what may decide whether answers leave. What cannot be seen is not known.
func (d *device) state() deviceState {
	l, err := d.netlink.LinkByIndex(d.index)
	if err != nil {
		return deviceState{}
	}
	a := l.Attrs()
	s := deviceState{
		known: true, master: a.MasterIndex, mtu: a.MTU,
		up: a.RawFlags&unix.IFF_UP != 0 && (a.OperState == netlink.OperUp || a.OperState == netlink.OperUnknown),
	}
	copy(s.mac[:], a.HardwareAddr)
	if a.Xdp != nil {
		s.program = a.Xdp.ProgId
	}
	s.peerTakes = d.peerTakesXDP() == nil
	return s
}
