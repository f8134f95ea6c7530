// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"errors"
	"fmt"
	"strings"

	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// waysOf returns the ways to attach a program that an uplink's settings allow, the one
// that they ask for first. An early packet socket hears what a program at tc ingress
// hears, and both would answer.
func waysOf(u *rules.Uplink) []ndp.Way {
	var ways []ndp.Way
	switch u.FastPath {
	case rules.FastPathXDP:
		ways = append(ways, ndp.WayXDP)
	case rules.FastPathXDPGeneric:
		ways = append(ways, ndp.WayXDPGeneric)
	case rules.FastPathAuto, rules.FastPathOff, rules.FastPathTC:
	}
	if !u.Early {
		ways = append(ways, ndp.WayTC)
	}
	return ways
}

// attempt is a way that was tried, and why it does not answer.
type attempt struct {
	way ndp.Way
	err error
}

// reasons tells why several ways do not answer.
func reasons(failed []attempt) string {
	var all []string
	for _, a := range failed {
		all = append(all, fmt.Sprintf("%s: %v", a.way, a.err))
	}
	return strings.Join(all, "; ")
}

// errorOf returns the errors of several ways as one.
func errorOf(failed []attempt) error {
	var errs []error
	for _, a := range failed {
		errs = append(errs, a.err)
	}
	return errors.Join(errs...)
}

// attach attaches the program by the first way that works, but by none that comes after
// those better than the last one; WaySocket comes after all. It returns nil where none of
// them works, and those that were tried in vain.
func (r *Responder) attach(d *device, p *Program, last ndp.Way) (hook, []attempt) {
	var failed []attempt
	for _, way := range waysOf(&r.config) {
		if way == last {
			break
		}
		h, err := r.attachAt(way, d, p)
		if err == nil {
			return h, failed
		}
		failed = append(failed, attempt{way, err})
	}
	return nil, failed
}

func (r *Responder) attachAt(way ndp.Way, d *device, p *Program) (hook, error) {
	if err := r.refused(way); err != nil {
		return nil, err
	}
	if way == ndp.WayTC {
		return attachTC(d, p, r.options)
	}
	if err := r.freeXDP(); err != nil {
		return nil, err
	}
	if !r.options.blind {
		if err := d.xdpUsable(way); err != nil {
			return nil, err
		}
	}
	return attachXDP(d, p.objects.NdproxydXdp, way)
}
