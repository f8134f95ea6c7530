// SPDX-License-Identifier: Apache-2.0

package probe

import (
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// errUnexpectedEnd is that the reader ended as if the socket had been closed.
var errUnexpectedEnd = errors.New("the socket was closed")

// steady is how long a socket has to work until a failure counts as a new one.
const steady = time.Minute

// prepare opens the probe socket and reads the neighbor table for the first probe
// rule, and closes the socket after the last: while it is open it costs something.
// What fails is tried again later.
func (p *Prober) prepare() {
	p.retry = time.Time{}
	if !p.active.Load() {
		p.closeSocket()
		p.backoff.Reset()
		p.primed = false
		p.setFault(nil)
		return
	}
	err := p.openSocket()
	p.setFault(err)
	if err == nil {
		err = p.readNeighbors()
	}
	if err != nil {
		p.retry = time.Now().Add(p.backoff.Next())
	}
}

// setFault keeps for Ready and Fault why the socket is not open.
func (p *Prober) setFault(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.fault = err; err == nil {
		p.ready = true
	}
}

// openSocket opens the probe socket, if it is not open.
func (p *Prober) openSocket() error {
	if p.socket != nil {
		return nil
	}
	socket, err := p.config.Open()
	if err != nil {
		p.faults.report("opening the probe socket", err)
		return fmt.Errorf("open probe socket: %w", err)
	}
	p.socket, p.ended, p.opened = socket, make(chan error, 1), time.Now()
	go func(ended chan<- error) { ended <- socket.Run(p.answered) }(p.ended)
	return nil
}

// closeSocket closes the probe socket, if it is open.
func (p *Prober) closeSocket() {
	if p.socket == nil {
		return
	}
	p.faults.report("closing the probe socket", p.socket.Close())
	p.socket, p.ended = nil, nil
}

// socketEnded opens another socket after the reader of this one failed, not at
// once if that keeps happening.
func (p *Prober) socketEnded(err error) {
	if err == nil {
		err = errUnexpectedEnd
	}
	p.faults.report("reading the probe socket", err)
	if time.Since(p.opened) >= steady {
		p.backoff.Reset()
	}
	p.closeSocket()
	p.setFault(fmt.Errorf("read probe socket: %w", err))
	p.retry = time.Now().Add(p.backoff.Next())
}

// readNeighbors tells the table which targets the kernel has as neighbors, so that
// they are asked first: after a start during a scan everything is unknown, and
// what lives would have to queue behind what does not.
func (p *Prober) readNeighbors() error {
	if p.primed {
		return nil
	}
	neighbors, err := p.config.Neighbors()
	if err != nil {
		p.faults.report("reading the neighbor table", err)
		return fmt.Errorf("read neighbor table: %w", err)
	}
	p.primed = true
	for _, n := range neighbors {
		if n.Known() && p.lookedFor(n.Address, n.Index) {
			p.prime(n.Address, int32(n.Index)) //nolint:gosec // an index
		}
	}
	return nil
}

// lookedFor reports whether a rule may ask for a target on a device.
func (p *Prober) lookedFor(target netip.Addr, index int) bool {
	rule := p.ruleFor(target)
	if rule == nil {
		return false
	}
	if !named(rule) { // where the route leads, which Query looks at
		return true
	}
	for _, i := range p.indices(rule.Devices) {
		if int(i) == index {
			return true
		}
	}
	return false
}
