// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// lockAddress is an abstract socket, which belongs to the network namespace:
	// a pod of the host's network and a service of the host see the same one,
	// whatever files each has, and the kernel frees it with the process.
	lockAddress = "@ndproxyd-lock"
	// lockWait is how long a daemon waits for the one before it to stop, which
	// goes on for half a second after it was told to.
	lockWait = 5 * time.Second
	// lockRetry is how often it looks.
	lockRetry = 100 * time.Millisecond
	// longestName bounds what the holder of the lock says of itself.
	longestName = 256
	// firstDynamic and lastDynamic are the users that systemd gives out to
	// services with DynamicUser (systemd's UIDS-GIDS).
	firstDynamic, lastDynamic = 61184, 65519
)

// ErrRunning is wrapped by the error of a daemon that finds another one in its
// network namespace.
var ErrRunning = errors.New("another ndproxyd answers on this host")

// lock keeps two daemons from answering in one network namespace. Whoever is
// there gets some time to stop. The lock ends with release, or with the process.
func (d *daemon) lock(ctx context.Context) (release func(), err error) {
	deadline := time.Now().Add(lockWait)
	for waiting := false; ; waiting = true {
		l, err := new(net.ListenConfig).Listen(ctx, "unix", lockAddress)
		if err == nil {
			go answerWho(l, d.options.Name)
			return func() { _ = l.Close() }, nil
		}
		if !errors.Is(err, unix.EADDRINUSE) {
			return nil, fmt.Errorf("lock the network namespace: %w", err)
		}
		holder, err := askHolder(ctx)
		switch {
		// A daemon can be asked, also one that hangs: the kernel takes the call.
		case errors.Is(err, errStranger), err != nil && time.Now().After(deadline):
			d.log.Warn("the lock against a second daemon is not in force", "address", lockAddress, "err", err)
			return func() {}, nil
		case err == nil && !waiting:
			d.log.Warn("another ndproxyd answers on this host: waiting for it to stop", "holder", holder)
		}
		if err == nil && time.Now().After(deadline) {
			return nil, fmt.Errorf("%w: %s; stop it, or this one: two daemons would answer each solicitation twice", ErrRunning, holder)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(lockRetry):
		}
	}
}

// answerWho tells everyone who asks who holds the lock.
func answerWho(l net.Listener, name string) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		_ = conn.SetDeadline(time.Now().Add(lockRetry))
		_, _ = io.WriteString(conn, name) // whoever asks may have gone
		_ = conn.Close()
	}
}

// errStranger is wrapped where somebody else's process holds the lock or the control
// socket: anybody may bind an abstract name, and must neither keep the daemon from its
// work by that nor speak for it.
var errStranger = errors.New("the process that holds it is not a daemon's")

// askHolder returns what the holder of the lock says of itself.
func askHolder(ctx context.Context) (string, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", lockAddress)
	if err != nil { // it has just gone
		return "", fmt.Errorf("ask the holder of the lock: %w", err)
	}
	defer conn.Close() //nolint:errcheck // it was read only
	peer, err := daemonAt(conn)
	if err != nil {
		return "", err
	}
	_ = conn.SetDeadline(time.Now().Add(lockRetry))
	name, _ := io.ReadAll(io.LimitReader(conn, longestName)) // a holder that hangs says nothing
	who := strings.ToValidUTF8(string(name), "?")
	if who == "" {
		who = "a process that does not say its name"
	}
	if peer.Pid != 0 { // 0 is one outside of our process namespace
		who = fmt.Sprintf("%s (process %d)", who, peer.Pid)
	}
	return who, nil
}

// daemonAt returns the process at the other end, and an error that wraps
// errStranger where that is no daemon's.
func daemonAt(conn net.Conn) (*unix.Ucred, error) {
	peer, err := peerOf(conn.(*net.UnixConn))
	if err == nil && !mayHold(peer.Uid) {
		err = fmt.Errorf("%w: user %d, process %d", errStranger, peer.Uid, peer.Pid)
	}
	return peer, err
}

// mayHold reports whether a user may be a daemon's: root, our own, one of
// systemd's dynamic users, or one with a packet socket, which takes CAP_NET_RAW.
func mayHold(uid uint32) bool {
	return uid == 0 || int64(uid) == int64(os.Getuid()) || uid >= firstDynamic && uid <= lastDynamic || hasPacketSocket(uid)
}

// hasPacketSocket looks for a user in the kernel's list of packet sockets, of
// which the eighth column is the user.
func hasPacketSocket(uid uint32) bool {
	const user = 7
	list, err := os.ReadFile("/proc/thread-self/net/packet")
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(list)) {
		if f := strings.Fields(line); len(f) > user && f[user] == strconv.FormatUint(uint64(uid), 10) {
			return true
		}
	}
	return false
}
