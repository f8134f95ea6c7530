// SPDX-License-Identifier: Apache-2.0

package process

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"

	"golang.org/x/sys/unix"
)

// ErrStranger is wrapped by the error of [CheckDaemon] for a process that is no
// daemon's. Any user can bind an abstract name, and must not be able to speak for
// the daemon by that.
var ErrStranger = errors.New("the process that holds the socket is not a daemon's")

// PeerOf returns the credentials of the process at the other end, as they were
// when it connected or began to listen. Pid is 0 for a process outside of our
// process namespace.
func PeerOf(conn *net.UnixConn) (*unix.Ucred, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("read peer credentials: %w", err)
	}
	var (
		peer  *unix.Ucred
		inner error
	)
	err = raw.Control(func(fd uintptr) {
		peer, inner = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	if err := errors.Join(err, inner); err != nil {
		return nil, fmt.Errorf("read peer credentials: %w", err)
	}
	return peer, nil
}

// Trusted reports whether a user may control the daemon: root and the daemon's
// own user may.
func Trusted(uid uint32) bool { return uid == 0 || int64(uid) == int64(os.Getuid()) }

// CheckDaemon returns nil if the server at the other end may be a daemon: one of
// root, of our own user, or of a user who holds the daemon's lock, which takes
// CAP_NET_RAW. Otherwise the error wraps [ErrStranger] and names the process.
func CheckDaemon(conn *net.UnixConn) error {
	peer, err := PeerOf(conn)
	if err != nil {
		return err
	}
	if Trusted(peer.Uid) {
		return nil
	}
	holders, err := lockHolders()
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(holders, func(h holder) bool { return h.uid == peer.Uid }) {
		return fmt.Errorf("%w: user %d, process %d", ErrStranger, peer.Uid, peer.Pid)
	}
	return nil
}
