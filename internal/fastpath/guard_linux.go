// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"errors"
	"fmt"
	"time"

	"github.com/ndproxyd/ndproxyd/pkg/ndp"
)

// How often the guard looks whether the program answers: at rest, and while answers have
// yet to show that they leave.
const (
	lookEvery   = 2 * time.Second
	lookClosely = 500 * time.Millisecond
	// closely is how long after an attachment the guard looks closely.
	closely = 30 * time.Second
)

// guard looks whether the program is attached and its table whole, and whether its
// answers leave, until it is closed or something is found. Where a frame no longer
// reaches the program or its table, the packet socket answers it, looked at or not.
func (r *Responder) guard(fast *running) {
	began := time.Now()
	timer := time.NewTimer(lookClosely)
	defer timer.Stop()
	p := r.newProof(fast)
	for {
		select {
		case <-fast.stop:
			return
		case <-timer.C:
		}
		if err := r.look(fast, p); err != nil {
			fast.fail(err)
			return
		}
		if r.climb(fast) {
			p, began = r.newProof(fast), time.Now()
		}
		if p != nil && p.pending() || time.Since(began) < closely {
			timer.Reset(lookClosely)
		} else {
			timer.Reset(lookEvery)
		}
	}
}

// look looks once.
func (r *Responder) look(fast *running, p *proof) error {
	if err := fast.hook.Attached(); err != nil {
		return err
	}
	if fast.hook.Way() == ndp.WayXDP && !r.options.blind {
		if err := fast.device.peerTakesXDP(); errors.Is(err, errNoPeerProgram) {
			return fmt.Errorf("%w: %w", errLost, err)
		}
	}
	r.pinAnew(fast)
	switch repaired, err := fast.program.repair(); {
	case err != nil:
		return err
	case repaired:
		r.log().Warn("another has changed the table of the program in the kernel: it was built anew")
	}
	return r.prove(fast, p)
}

// newProof takes down what was answered and sent before, nil where the device says nothing.
func (r *Responder) newProof(fast *running) *proof {
	before, err := fast.device.sent(fast.hook.Way())
	if err != nil {
		return nil
	}
	answered, err := fast.program.answered()
	if err != nil {
		return nil
	}
	return &proof{answered: answered, sent: before}
}

// prove looks whether the answers leave that were made since they did last.
func (r *Responder) prove(fast *running, p *proof) error {
	if p == nil {
		return nil
	}
	answered, err := fast.program.answered()
	if err != nil || answered == p.answered {
		return err
	}
	before, err := fast.device.sent(fast.hook.Way())
	if err != nil {
		return nil //nolint:nilerr // nothing can be concluded
	}
	if answered, err = fast.program.answered(); err != nil {
		return err
	}
	after, err := fast.device.sent(fast.hook.Way())
	if err != nil {
		return nil //nolint:nilerr // nothing can be concluded
	}
	return p.judge(answered, before, after, time.Now())
}
