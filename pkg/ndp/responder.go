// SPDX-License-Identifier: Apache-2.0

package ndp

import (
	"context"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// Responder answers solicitations on one device until Close. [Listener] does so
// with a packet socket. A second way to answer, such as a program in the kernel,
// is another implementation and changes nothing for its user.
//
// A Responder gets the interface's facts ([Interface.Facts]) and a view with its
// differences. What it gives back goes where its [ListenConfig] says: figures to
// Counters, what became of each solicitation to Recent, signs of other stations
// to Sighted, and solicitations whose target has to be asked first to Ask.
//
// No method waits for the network. All may be called from any goroutine, but for
// Close and Hold, after which none may.
type Responder interface {
	// SetInterface replaces the facts that answers are made from. The device
	// stays the same.
	SetInterface(i *Interface)
	// SetView replaces what is answered for, without a moment in which a target
	// of both views is unanswered. deltas lead from the last view to this one;
	// an implementation may use either.
	SetView(view *rules.View, deltas []rules.Delta) error
	// Send sends a whole Ethernet frame on the device. It never waits: an error
	// that wraps [ErrBusy] says that the frame may be sent later.
	Send(frame []byte) error
	// SetAllMulticast asks the device for all multicast frames, or takes that
	// back.
	SetAllMulticast(on bool) error
	// CountDrops adds what was lost since the last call to the counters.
	CountDrops() error
	// Alive returns nil once whatever answers has shown that it runs, and ctx's
	// error when it does not.
	Alive(ctx context.Context) error
	// Index returns the index of the device that is answered on, another one
	// than at the start when that device is gone.
	Index() int
	// Done is closed when the responder has stopped, by Close or by itself. It
	// has to be closed all the same.
	Done() <-chan struct{}
	// Path tells which way solicitations are answered at present.
	Path() Path
	// Settle says that the view has all that there is to know: lines that an earlier
	// process has left, and that nothing has confirmed by now, are given up.
	Settle()
	// Relieve says that something else keeps unicast solicitations from the kernel's IPv6
	// by now: a program that has stayed for that alone goes, see [Path].Leaving.
	Relieve()
	// Hold is Close at the end of the process: what answers without a process goes on
	// until the next one takes over, or for as long as that may take.
	Hold() error
	// Close stops answering and releases everything. It returns the error that
	// had stopped the responder before, if one had.
	Close() error
}

var _ Responder = (*Listener)(nil)
