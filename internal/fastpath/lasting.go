// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// lasting is a reason that does not pass by itself: other settings, another interface,
// another daemon or another kernel is needed. For whatever else the program does not answer,
// it is tried again: memory, a bpffs, or a hook may be there later.
type lasting struct{ error }

// Unwrap serves package errors.
func (l lasting) Unwrap() error { return l.error }

// passes reports whether a reason may pass: of several, one that may is enough.
func passes(err error) bool {
	switch e := err.(type) { //nolint:errorlint // it looks at each that is wrapped
	case lasting:
		return false
	case interface{ Unwrap() []error }:
		for _, each := range e.Unwrap() {
			if passes(each) {
				return true
			}
		}
		return false
	case interface{ Unwrap() error }:
		return passes(e.Unwrap())
	}
	return err != nil
}

// notLoaded returns why the kernel did not load the program. What its verifier refuses it
// will refuse again, and what it does not have it will not get.
func notLoaded(err error) error {
	byVerifier := errors.As(err, new(*ebpf.VerifierError)) && (errors.Is(err, unix.EINVAL) || errors.Is(err, unix.EACCES))
	err = fmt.Errorf("load program: %w", err)
	if byVerifier || errors.Is(err, ebpf.ErrNotSupported) {
		return lasting{err}
	}
	return err
}
