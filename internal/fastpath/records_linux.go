// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"time"

	"github.com/cilium/ebpf/ringbuf"

	"github.com/ndproxyd/ndproxyd/pkg/ndp"
)

// recordLen is the length of struct record of bpf/table.h.
const recordLen = 16 + 16 + 6 + 6 + 4

// recordPause is how long records gather: the program wakes the reader at most once in
// that time on each processor (RECORD_WINDOW in bpf/table.h).
const recordPause = 100 * time.Millisecond

// follow hands the program's records on until the reader is closed.
func follow(reader *ringbuf.Reader, to *ndp.ProgramAnswers) {
	var r ringbuf.Record
	for some := false; ; {
		switch err := reader.ReadInto(&r); {
		case err == nil:
			takeRecord(r.RawSample, to)
			if !some { // what else comes within the pause wakes nobody up
				some = true
				to.Flush()
				reader.SetDeadline(time.Now().Add(recordPause))
			}
		case errors.Is(err, os.ErrDeadlineExceeded):
			to.Flush()
			// All that had come is read. The next one after the pause wakes us up.
			some = false
			reader.SetDeadline(time.Time{})
		default: // it was closed
			return
		}
	}
}

// drain gives up the records that no daemon has read, because nothing tells when they
// were made.
func drain(reader *ringbuf.Reader, to *ndp.Counters) {
	var r ringbuf.Record
	reader.SetDeadline(time.Unix(1, 0))
	defer reader.SetDeadline(time.Time{})
	for reader.ReadInto(&r) == nil {
		to.RecordsLost.Add(1)
	}
}

func takeRecord(b []byte, to *ndp.ProgramAnswers) {
	if len(b) < recordLen {
		return
	}
	a := ndp.ProgramAnswer{
		At:     time.Now(),
		Target: netip.AddrFrom16([16]byte(b)), Source: netip.AddrFrom16([16]byte(b[16:])),
		Ether: [6]byte(b[32:]), Asker: [6]byte(b[38:]), Kind: ndp.Unicast,
	}
	if binary.NativeEndian.Uint32(b[44:]) != 0 {
		a.Kind = ndp.Multicast
	}
	to.Take(a)
}
