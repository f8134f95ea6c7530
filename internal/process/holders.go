// SPDX-License-Identifier: Apache-2.0

package process

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// lockProtocol is the protocol of the packet socket that is the lock. No frame
// has it: the values from 1501 to 1535 are neither a length nor an EtherType
// (IEEE 802.3 §3.2.6), so the socket never receives anything. The kernel hashes
// protocols by their last four bits, and those of IPv6, IPv4 and ARP differ.
const lockProtocol = 0x05e4

// packetSockets is the kernel's list of the packet sockets of our network
// namespace. Any user may read it, and only CAP_NET_RAW gets a process into it.
const packetSockets = "/proc/thread-self/net/packet"

// holder is a packet socket with the lock's protocol.
type holder struct {
	uid   uint32
	inode uint64
}

// openLockSocket opens a packet socket that appears in the kernel's list with
// the lock's protocol.
func openLockSocket() (fd int, inode uint64, err error) {
	const networkOrder = lockProtocol>>8 | lockProtocol&0xff<<8
	fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, networkOrder)
	if err != nil {
		return -1, 0, fmt.Errorf("open lock socket: %w", err)
	}
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		_ = unix.Close(fd)
		return -1, 0, fmt.Errorf("read inode of lock socket: %w", err)
	}
	return fd, stat.Ino, nil
}

// lockHolders returns the sockets of the network namespace that have the lock's
// protocol.
func lockHolders() ([]holder, error) {
	f, err := os.Open(packetSockets)
	if err != nil {
		return nil, fmt.Errorf("read packet sockets: %w", err)
	}
	defer f.Close() //nolint:errcheck // it was read only
	return parseHolders(f)
}

// parseHolders picks the lock's sockets from the kernel's list. Its columns are
// sk RefCnt Type Proto Iface R Rmem User Inode, and the protocol is hexadecimal.
func parseHolders(list io.Reader) ([]holder, error) {
	const proto, user, inode, columns = 3, 7, 8, 9
	var holders []holder
	lines := bufio.NewScanner(list)
	lines.Scan() // the headings
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) < columns {
			return nil, fmt.Errorf("read packet sockets: %q has %d columns, not %d", lines.Text(), len(f), columns)
		}
		p, err := strconv.ParseUint(f[proto], 16, 16)
		if err != nil {
			return nil, fmt.Errorf("read packet sockets: protocol: %w", err)
		}
		if p != lockProtocol {
			continue
		}
		uid, err := strconv.ParseUint(f[user], 10, 32)
		if err != nil {
			return nil, fmt.Errorf("read packet sockets: user: %w", err)
		}
		ino, err := strconv.ParseUint(f[inode], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("read packet sockets: inode: %w", err)
		}
		holders = append(holders, holder{uid: uint32(uid), inode: ino})
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read packet sockets: %w", err)
	}
	return holders, nil
}
