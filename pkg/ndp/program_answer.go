// SPDX-License-Identifier: Apache-2.0

package ndp

import (
	"net/netip"
	"time"
)

// ProgramAnswer is a solicitation that a program in the kernel has answered.
type ProgramAnswer struct {
	// At is about when.
	At time.Time
	// Target and Source are those of the solicitation.
	Target, Source netip.Addr
	// Ether is the Ethernet source, and Asker where the answer went.
	Ether, Asker [6]byte
	// Kind is Multicast or Unicast: the program answers no other.
	Kind Kind
}

// ProgramAnswers takes in what a program in the kernel tells of its answers, and does
// with them what the receive loop does with its own: they become records, and signs of
// other stations. One goroutine may use it.
type ProgramAnswers struct {
	listener *Listener
	started  time.Time
	last     lastSighting
	signs    bucket
	records  pendingRecords
}

// ProgramAnswers returns what takes in the answers of a program that stands before the
// listener.
func (l *Listener) ProgramAnswers() *ProgramAnswers {
	return &ProgramAnswers{listener: l, started: time.Now(), records: pendingRecords{recent: l.recent}}
}

// Take takes one answer in. It does not block.
func (p *ProgramAnswers) Take(a ProgramAnswer) {
	s := Solicitation{source: a.Source, target: a.Target, asker: a.Asker, ether: a.Ether}
	p.records.add(a.At.UnixNano(), nil, &s, a.Kind, Answered)
	iface, view, now := p.listener.iface.Load(), p.listener.view.Load(), int64(a.At.Sub(p.started))
	if !p.last.isNew(a.Source, a.Asker, view, now) {
		return
	}
	if sign, ok := s.sight(iface, view); ok && p.signs.take(now, signRate) {
		p.listener.sighted(sign)
	}
}

// Flush makes the records visible. Those for which somebody who reads leaves no room stay
// for the next time.
func (p *ProgramAnswers) Flush() { p.records.flush() }
