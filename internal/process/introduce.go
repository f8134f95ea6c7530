// SPDX-License-Identifier: Apache-2.0

package process

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/task"
)

const (
	// nameAddress is the abstract socket on which the holder of the lock tells
	// its name. It is a courtesy: any user can bind it first, and keeps nobody
	// from the lock by that.
	nameAddress = "@ndproxyd-lock"
	// successorAddress is that of a daemon that waits for its predecessor.
	successorAddress = "@ndproxyd-successor"
	// longestName bounds what is read of a name, in bytes.
	longestName = 256
	// nameTimeout bounds how long a holder may take to tell its name, and a
	// caller to read it.
	nameTimeout = 100 * time.Millisecond
	// lastTimeout is that for a caller who has nothing else to do, and asks once: the
	// holder may be busy.
	lastTimeout = time.Second
)

// introduce tells our name to everyone who connects to an address, until stop is
// called. While another process has the address it tries again.
func introduce(address, name string, log *slog.Logger) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background()) // the lock outlives the context that it was taken with
	var wg sync.WaitGroup
	wg.Go(func() {
		l := listenName(ctx, address, log)
		if l == nil {
			return
		}
		defer context.AfterFunc(ctx, func() { _ = l.Close() })()
		tellName(ctx, l, name)
	})
	return func() {
		cancel()
		wg.Wait()
	}
}

// listenName returns a listener on the name's address, nil if ctx ends before
// there is one.
func listenName(ctx context.Context, address string, log *slog.Logger) net.Listener {
	var retry task.Backoff
	for logged := false; ; logged = true {
		l, err := new(net.ListenConfig).Listen(ctx, "unix", address)
		switch {
		case err == nil:
			return l
		case ctx.Err() != nil:
			return nil
		case !logged:
			log.Warn("the address on which this daemon tells its name is taken, which is tried again: the lock is in force, but a second daemon cannot say who holds it",
				"address", address, "holder", nameHolder(ctx, address), "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(retry.Next()):
		}
	}
}

// tellName writes the name to everyone who connects, until ctx ends. Where a
// connection cannot be accepted, as without a free descriptor, it tries again.
func tellName(ctx context.Context, l net.Listener, name string) {
	var retry task.Backoff
	for ctx.Err() == nil {
		conn, err := l.Accept()
		if err != nil {
			select {
			case <-ctx.Done():
			case <-time.After(retry.Next()):
			}
			continue
		}
		retry.Reset()
		_ = conn.SetDeadline(time.Now().Add(nameTimeout))
		_, _ = io.WriteString(conn, name) // whoever asked may have gone
		_ = conn.Close()
	}
}

// nameHolder describes the process that has the name's address.
func nameHolder(ctx context.Context, address string) string {
	conn, err := dialName(ctx, address, nameTimeout)
	if err != nil {
		return "it does not accept connections"
	}
	defer conn.Close() //nolint:errcheck // nothing was written
	peer, err := PeerOf(conn)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("user %d, process %d", peer.Uid, peer.Pid)
}

// Holder returns what the holder of the lock in the calling thread's network namespace says
// of itself, "" if nobody holds it.
func Holder(ctx context.Context) (string, error) {
	holders, err := lockHolders()
	if err != nil || len(holders) == 0 {
		return "", err
	}
	return askHolder(ctx, lastTimeout), nil
}

// askHolder returns what the holder of the lock says of itself, and what the
// kernel says of it where it says nothing in time.
func askHolder(ctx context.Context, within time.Duration) string {
	if name, pid := askName(ctx, nameAddress, within); pid != 0 { // 0 is one outside of our process namespace
		return fmt.Sprintf("%s (process %d)", name, pid)
	} else if name != "" {
		return name
	}
	holders, err := lockHolders()
	if err != nil || len(holders) == 0 {
		return "a process that does not tell its name"
	}
	return fmt.Sprintf("a process of user %d that does not tell its name (packet socket %d in %s)", holders[0].uid, holders[0].inode, packetSockets)
}

// Successor returns the name of the daemon that waits to take the place of the one that
// holds the lock, "" if none does.
func Successor(ctx context.Context) string {
	name, _ := askName(ctx, successorAddress, nameTimeout)
	return name
}

// askName returns the name that a daemon tells at an address, "" if none does in time, and its
// process, 0 where that is outside of our process namespace.
func askName(ctx context.Context, address string, within time.Duration) (name string, pid int32) {
	conn, err := dialName(ctx, address, within)
	if err != nil {
		return "", 0
	}
	defer conn.Close() //nolint:errcheck // it was read only
	if CheckDaemon(conn) != nil {
		return "", 0
	}
	peer, err := PeerOf(conn)
	if err != nil {
		return "", 0
	}
	_ = conn.SetDeadline(time.Now().Add(within))
	b, _ := io.ReadAll(io.LimitReader(conn, longestName)) // a holder that hangs says nothing
	if len(b) == 0 {
		return "", 0
	}
	return strings.ToValidUTF8(string(b), "?"), peer.Pid
}

func dialName(ctx context.Context, address string, within time.Duration) (*net.UnixConn, error) {
	d := net.Dialer{Timeout: within}
	conn, err := d.DialContext(ctx, "unix", address)
	if err != nil {
		return nil, err
	}
	return conn.(*net.UnixConn), nil
}
