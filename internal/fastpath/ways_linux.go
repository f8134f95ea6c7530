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

// attach attaches the program by the first way that works. Each that does not is why not
// a better one answers, or the error where there is none left.
func (r *Responder) attach(d *device, p *Program) (h hook, why string, err error) {
	var reasons []string
	var errs []error
	for _, way := range waysOf(&r.config) {
		h, err := r.attachAt(way, d, p)
		if err == nil {
			return h, strings.Join(reasons, "; "), nil
		}
		errs = append(errs, err)
		reasons = append(reasons, fmt.Sprintf("%s: %v", way, err))
	}
	return nil, "", errors.Join(errs...)
}

func (r *Responder) attachAt(way ndp.Way, d *device, p *Program) (hook, error) {
	if err := r.refused[way]; err != nil {
		return nil, err
	}
	if way == ndp.WayTC {
		return attachTC(d, p, r.options)
	}
	if !r.options.blind {
		if err := d.xdpUsable(way); err != nil {
			return nil, err
		}
	}
	return attachXDP(d, p.objects.NdproxydXdp, way)
}
