// SPDX-License-Identifier: Apache-2.0

package process

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// lockWait is how long a daemon waits for the one before it to stop, which
	// goes on for half a second after it was told to.
	lockWait = 5 * time.Second
	// lockRetry is how often it looks. Up to as much again is added at random,
	// so that two daemons that start at once do not block each other for long.
	lockRetry = 50 * time.Millisecond
)

// ErrRunning is wrapped by the error of [Lock] when another daemon runs in the
// network namespace.
var ErrRunning = errors.New("another ndproxyd answers on this host")

// Options are what [Lock] takes.
type Options struct {
	// Name tells a second daemon who is there before it.
	Name string
	// Predecessor reports whether the daemon of that name is one that this daemon is
	// to replace, and so waits for as long as it goes on. Nil is for none.
	Predecessor func(name string) bool
	// Log receives a line when the lock has to be waited for.
	Log *slog.Logger

	wait time.Duration // instead of lockWait, where it is not 0
}

// patience returns how long another daemon gets to stop.
func (o *Options) patience() time.Duration {
	if o.wait != 0 {
		return o.wait
	}
	return lockWait
}

// Lock keeps a second daemon from answering in the same network namespace. The
// lock belongs to that namespace, so a pod in the host's network and a service
// of the host exclude each other, whatever files each sees. It ends with release
// or with the process.
//
// The lock is a packet socket with a protocol of its own in the kernel's list of
// packet sockets. Only a process with CAP_NET_RAW can be in that list, so no
// other user can hold the lock. A daemon opens its socket first and looks for
// others afterwards: of two that start at once, at least one sees the other.
//
// Another daemon gets five seconds to stop. If it does not, the error wraps
// [ErrRunning] and says who it is. A predecessor gets as long as it takes, and is told
// of us by [Successor]. If ctx ends first, the error is ctx's.
func Lock(ctx context.Context, o Options) (release func(), err error) {
	deadline := time.Now().Add(o.patience())
	shown := func() {} // ends what shows us to the predecessor
	defer func() { shown() }()
	told := false // the predecessor can learn of us
	for waiting := false; ; waiting = true {
		fd, err := tryLock()
		if err == nil {
			stop := introduce(nameAddress, o.Name, o.Log)
			return func() {
				stop()
				_ = unix.Close(fd)
			}, nil
		}
		if !errors.Is(err, errHeld) {
			return nil, fmt.Errorf("lock the network namespace: %w", err)
		}
		replaces := o.replaces(ctx)
		switch {
		case replaces:
			deadline = time.Now().Add(o.patience())
			if !told { // which may be later than the first time: one that is busy does not say its name in time
				told = true
				shown = introduce(successorAddress, o.Name, o.Log)
				o.Log.Info("waiting for the daemon before this one to stop", "holder", askHolder(ctx, nameTimeout))
			}
		case !waiting:
			o.Log.Warn("another ndproxyd answers on this host: waiting for it to stop", "holder", askHolder(ctx, nameTimeout))
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("%w: %s; stop it, or this one: two daemons would answer each solicitation twice", ErrRunning, askHolder(ctx, lastTimeout))
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(lockRetry + rand.N(lockRetry)): //nolint:gosec // nobody gains by guessing it
		}
	}
}

// replaces reports whether the holder of the lock is a predecessor.
func (o *Options) replaces(ctx context.Context) bool {
	if o.Predecessor == nil {
		return false
	}
	name, _ := askName(ctx, nameAddress, nameTimeout)
	return name != "" && o.Predecessor(name)
}

// errHeld says that another process has the lock, or tries to get it.
var errHeld = errors.New("another process holds the lock")

// tryLock returns the socket that is the lock, or an error that wraps errHeld.
func tryLock() (fd int, err error) {
	fd, own, err := openLockSocket()
	if err != nil {
		return -1, err
	}
	holders, err := lockHolders()
	for _, h := range holders {
		if h.inode != own {
			err = errHeld
		}
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}
