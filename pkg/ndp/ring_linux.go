// SPDX-License-Identifier: Apache-2.0

package ndp

import (
	"fmt"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The receive ring is a TPACKET_V2 ring (packet(7)). Unlike the socket's own
// buffer it may hold a whole burst without CAP_NET_ADMIN, as its size is not
// bound by net.core.rmem_max. Version 3 would deliver with a delay.
const (
	// ringSlot holds the ring's headers and 94 octets of frame, eight more
	// than the common solicitation has. The kernel queues longer frames whole
	// on the socket beside the ring.
	ringSlot = 160
	// ringBlock is the unit in which the kernel allocates.
	ringBlock = 64 << 10
	// ringBlocks makes room for 16,360 solicitations in 2.5 MiB.
	ringBlocks = 40

	slotsPerBlock = ringBlock / ringSlot
	ringSlots     = ringBlocks * slotsPerBlock
)

// slotAddress is where the kernel puts the sockaddr_ll of a slot: behind the
// header, aligned to TPACKET_ALIGNMENT.
const slotAddress = (unix.SizeofTpacket2Hdr + unix.TPACKET_ALIGNMENT - 1) &^ (unix.TPACKET_ALIGNMENT - 1)

// ring is the reader's side of the receive ring. One goroutine may use it.
type ring struct {
	memory []byte
	slot   int
}

// openRing gives the packet socket its ring. The socket must not be bound yet.
func openRing(fd int) (*ring, error) {
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VERSION, unix.TPACKET_V2); err != nil {
		return nil, fmt.Errorf("set ring version: %w", err)
	}
	// Any value but 0 asks for whole copies of frames that a slot cannot hold.
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_COPY_THRESH, 1); err != nil {
		return nil, fmt.Errorf("set copy threshold: %w", err)
	}
	req := unix.TpacketReq{
		Block_size: ringBlock, Block_nr: ringBlocks,
		Frame_size: ringSlot, Frame_nr: ringSlots,
	}
	if err := unix.SetsockoptTpacketReq(fd, unix.SOL_PACKET, unix.PACKET_RX_RING, &req); err != nil {
		return nil, fmt.Errorf("allocate receive ring: %w", err)
	}
	m, err := unix.Mmap(fd, 0, ringBlock*ringBlocks, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map receive ring: %w", err)
	}
	return &ring{memory: m}, nil
}

func (r *ring) close() error { return unix.Munmap(r.memory) }

// received is a frame in the ring. It is valid until release.
type received struct {
	header *unix.Tpacket2Hdr
	// frame holds what fits into the slot.
	frame []byte
	// copied is true when the frame is longer and waits whole on the socket.
	copied bool
	meta   Meta
	// at is the time of reception in nanoseconds since 1970.
	at int64
	// stamped is true where that is the time at which the kernel has received the frame,
	// the same for all sockets, and not when it reached this one.
	stamped bool
}

// next returns the frame at the reader's place, and false when there is none.
func (r *ring) next(rx *received) bool {
	off := r.slot/slotsPerBlock*ringBlock + r.slot%slotsPerBlock*ringSlot
	slot := r.memory[off : off+ringSlot : off+ringSlot]
	h := (*unix.Tpacket2Hdr)(unsafe.Pointer(&slot[0]))
	status := atomic.LoadUint32(&h.Status)
	if status&unix.TP_STATUS_USER == 0 {
		return false
	}
	sll := (*unix.RawSockaddrLinklayer)(unsafe.Pointer(&slot[slotAddress]))
	rx.header = h
	rx.frame = slot[h.Mac : uint32(h.Mac)+h.Snaplen]
	rx.copied = status&unix.TP_STATUS_COPY != 0
	rx.meta = Meta{
		Type:            PacketType(sll.Pkttype),
		Index:           int(sll.Ifindex),
		ChecksumPartial: status&unix.TP_STATUS_CSUMNOTREADY != 0,
	}
	if status&unix.TP_STATUS_VLAN_VALID != 0 {
		rx.meta.VLAN = h.Vlan_tci & 0xfff
	}
	rx.stamped = status&unix.TP_STATUS_TS_SOFTWARE != 0
	rx.at = int64(h.Sec)*1e9 + int64(h.Nsec)
	return true
}

// release gives the slot back to the kernel and moves on.
func (r *ring) release(rx *received) {
	atomic.StoreUint32(&rx.header.Status, unix.TP_STATUS_KERNEL)
	if r.slot++; r.slot == ringSlots {
		r.slot = 0
	}
}
