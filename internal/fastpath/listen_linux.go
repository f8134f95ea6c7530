// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// Options are the process' part of what Listen needs.
type Options struct {
	// Directory is the folder of bpffs that programs are pinned in, which is made when
	// it is not there.
	Directory string
	// Log says once what was asked for and cannot be had.
	Log *slog.Logger

	// withoutTCX is for tests: the kernel is used as one before Linux 6.6.
	withoutTCX bool
	// seldom is for tests: how soon it is looked again for a bpffs, 0 for seldomRetry.
	seldom time.Duration
	// blind is for tests: nothing is looked at before the program is attached.
	blind bool
	// pinWith is for tests: it pins in place of pinObject.
	pinWith func(fd int, path string) error
	// move is for tests: it moves the packet socket in place of [ndp.Listener.SetEarly].
	move func(early bool) error
	// refuse is for tests: the refusal of a way in place of one as newRefusal makes it.
	refuse refusal
	// within is for tests, whose goroutines are not in one network namespace: it calls a
	// function in the uplink's.
	within func(func())
}

func (o Options) refusal() *refusal {
	if o.refuse.times.first > 0 {
		return &o.refuse
	}
	return newRefusal()
}

func (o Options) pin() func(int, string) error {
	if o.pinWith != nil {
		return o.pinWith
	}
	return pinObject
}

// Listen opens the packet socket of an uplink, and puts a program before it where the
// uplink's settings ask for that and the kernel allows it. It fails as [ndp.Listen] does:
// that there is no program is no error, and [Responder.Path] says why.
func Listen(cfg ndp.ListenConfig, o Options) (ndp.Responder, error) {
	// What an earlier daemon has left at tc ingress would answer beside an early socket, which
	// is where the socket moves when that has gone.
	l, err := ndp.Listen(cfg)
	if err != nil {
		return nil, err
	}
	r := newResponder(l, cfg, o)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.start()
	r.place()
	return r, nil
}

// errNotAsked says that the settings ask for no program.
var errNotAsked error = lasting{errors.New("fast_path: off")}

// usable returns nil where a program may be tried, and why not otherwise.
func usable(u *rules.Uplink, o Options) error {
	switch {
	case u.FastPath == rules.FastPathOff:
		return errNotAsked
	case u.Early && (u.FastPath == rules.FastPathAuto || u.FastPath == rules.FastPathTC):
		return lasting{errors.New("socket: early hears solicitations before a program at tc ingress, so that both would answer")}
	case u.FastPath != rules.FastPathAuto:
		if err := privileged(); err != nil {
			return err
		}
	default:
		if err := allowed(o.Directory); err != nil {
			return err
		}
	}
	return newEnough()
}

// privileged returns why the daemon may not load programs, nil if it may.
func privileged() error {
	header, data := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, [2]unix.CapUserData{}
	if err := unix.Capget(&header, &data[0]); err != nil {
		return lasting{fmt.Errorf("read capabilities: %w", err)}
	}
	has := func(c uint) bool { return data[c/32].Effective&(1<<(c%32)) != 0 }
	if !has(unix.CAP_NET_ADMIN) || !has(unix.CAP_BPF) && !has(unix.CAP_SYS_ADMIN) {
		return lasting{errors.New("a program in the kernel takes CAP_BPF and CAP_NET_ADMIN, see docs/security.md")}
	}
	return nil
}

// allowed returns why the daemon may not load or pin programs, nil if it may.
func allowed(directory string) error {
	if err := privileged(); err != nil {
		return err
	}
	if err := onBPFFS(directory); err != nil {
		return err
	}
	return ours(filepath.Join(directory, "any"))
}
