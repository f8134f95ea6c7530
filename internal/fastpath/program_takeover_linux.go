// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/cilium/ebpf"

	"github.com/ndproxyd/ndproxyd/pkg/ndp"
)

// takeOver goes on with the maps that an earlier daemon has left, which the program was
// loaded with.
func (p *Program) takeOver(l *left) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	err := p.aboutMap.Close() // the one that it was made with
	p.aboutMap, l.aboutMap = l.aboutMap, nil
	p.maps.slots[l.facts.Slot] = l.inner
	l.inner = [2]*ebpf.Map{}
	p.maps.folder = l.folder
	p.table.facts.Slot = l.facts.Slot
	p.about, p.read = l.about, l.about.counts()
	p.about.Owner = rand.Uint64() //nolint:gosec // no secret
	return errors.Join(err, p.about.write(p.aboutMap))
}

// owned reports whether no other program goes on with the maps.
func (p *Program) owned() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	now, err := readAbout(p.aboutMap)
	return err != nil || now.Owner == p.about.Owner
}

// leaveAbout has the program tell of itself nowhere, where others have made what the folder tells
// read-only: for a program that ends, which has nothing to tell the next daemon.
func (p *Program) leaveAbout() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if notFrozen(pinnedAbout, p.aboutMap) == nil {
		return nil
	}
	m, err := ebpf.NewMap(aboutSpec())
	if err != nil {
		return fmt.Errorf("make map: %w", err)
	}
	err = p.aboutMap.Close()
	p.aboutMap = m
	return errors.Join(err, p.about.write(m))
}

// unpinned returns why the maps are not pinned any more.
func (p *Program) unpinned() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.maps.unpinned
}

// pinLater has the maps wait to be pinned anew, whatever has become of their pins.
func (p *Program) pinLater() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.maps.folder, p.maps.unpinned = nil, nil
}

// relies reports whether there is what the program, attached that way, must not do when the
// daemon is dead: answer for what other nodes take over, or keep what it does not answer from
// the kernel's IPv6.
func (p *Program) relies(w ndp.Way) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.table.shared > 0 || w == ndp.WayTC && p.table.facts.Flags&flagConsume != 0
}
