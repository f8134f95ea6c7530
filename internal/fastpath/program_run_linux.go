// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"encoding/binary"
	"fmt"

	"github.com/cilium/ebpf"

	"github.com/ndproxyd/ndproxyd/pkg/ndp"
)

// Run puts a frame to the program as the tc hook of the device with that index would, in
// the calling thread's network namespace, or as XDP would. It returns the frame that the
// program answers with, nil where it passes the frame up. Nothing is sent.
func (p *Program) Run(frame []byte, xdp bool, index int) ([]byte, error) {
	if !xdp {
		answer, _, err := p.runTC(frame, index)
		return answer, err
	}
	return run(p.objects.NdproxydXdp, actTX, frame, &ebpf.RunOptions{})
}

// Consumes reports whether the program, as the tc hook of the device with that index in the
// calling thread's network namespace, keeps a frame that it passes up from the kernel's
// IPv6. Nothing is sent.
func (p *Program) Consumes(frame []byte, index int) (bool, error) {
	_, mark, err := p.runTC(frame, index)
	return mark == ndp.ConsumedMark, err
}

// runTC returns what the tc hook's program answers with, and the mark of the frame after it.
func (p *Program) runTC(frame []byte, index int) (answer []byte, mark uint32, err error) {
	before, after := make([]byte, skbSize), make([]byte, skbSize)
	binary.NativeEndian.PutUint32(before[skbIndex:], uint32(index)) //nolint:gosec // an index
	answer, err = run(p.objects.NdproxydTc, actRedirect, frame, &ebpf.RunOptions{Context: before, ContextOut: after})
	return answer, binary.NativeEndian.Uint32(after[skbMark:]), err
}

// run returns the frame that a program makes of another where it returns answered.
func run(p *ebpf.Program, answered uint32, frame []byte, o *ebpf.RunOptions) ([]byte, error) {
	o.Data, o.DataOut = frame, make([]byte, len(frame)+256) // the kernel writes behind it what programs add
	verdict, err := p.Run(o)
	if err != nil {
		return nil, fmt.Errorf("run program: %w", err)
	}
	if verdict != answered {
		return nil, nil
	}
	return o.DataOut, nil
}

// The size of struct __sk_buff, and where in it are the third field, mark, and the eleventh,
// ifindex.
const (
	skbSize  = 192
	skbMark  = 8
	skbIndex = 40
)

// What the program returns for a frame that it has made an answer of: TC_ACT_REDIRECT and
// XDP_TX.
const (
	actRedirect = 7
	actTX       = 3
)
