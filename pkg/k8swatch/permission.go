// SPDX-License-Identifier: Apache-2.0

package k8swatch

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

const (
	// ForbiddenFor is how long every request of a kind has to be forbidden before the
	// account counts as one without the permission. An API server that starts answers
	// 403 until its caches of roles and bindings are filled, for seconds and on a large
	// cluster for tens of them, and several servers may start one after another.
	ForbiddenFor = time.Minute
	// Until then a forbidden request is repeated after as long as it has been forbidden
	// so far, within these bounds: a server that starts is not asked for nothing, and
	// what it says is not missed for long. Afterwards it is repeated every
	// forbiddenLate, for ever: someone may grant the permission.
	forbiddenFirst, forbiddenMost = time.Second, 5 * time.Second
	forbiddenLate                 = 30 * time.Second
)

// permission tells an account without a permission from an API server that starts.
type permission struct {
	since   time.Time // of the first of the present run of 403s, zero without one
	missing bool      // since ForbiddenFor after that, until the request works
}

// forbid notes a 403, and returns true when the permission counts as missing from now
// on.
func (p *permission) forbid(now time.Time) bool {
	if p.since.IsZero() {
		p.since = now
	}
	if p.missing || now.Sub(p.since) < ForbiddenFor {
		return false
	}
	p.missing = true
	return true
}

// answer notes a request that was not forbidden. Whether it worked is not known yet,
// so a permission that is missing stays so until grant.
func (p *permission) answer() { p.since = time.Time{} }

// grant notes that the request has worked, and returns true where the permission was
// missing.
func (p *permission) grant() bool {
	was := p.missing
	*p = permission{}
	return was
}

// retry returns how long to wait before a forbidden request is repeated.
func (p *permission) retry(now time.Time) time.Duration {
	if p.missing {
		return forbiddenLate
	}
	return min(max(now.Sub(p.since), forbiddenFirst), forbiddenMost)
}

// untilPermitted repeats a request while it is forbidden, and returns what becomes of
// the first that is not. Every result is noted unless ignore is true for it.
//
// A reflector backs off for half a minute and longer, and reads a whole list after each
// 403 of a watch. While its request waits here, it does neither.
func untilPermitted[T any](ctx context.Context, h *health, watch bool, ignore func(error) bool, request func() (T, error)) (T, error) {
	for {
		v, err := request()
		if ctx.Err() == nil && !ignore(err) { // a request that we end ourselves tells nothing
			h.result(err, watch)
		}
		if !apierrors.IsForbidden(err) {
			return v, err
		}
		if !h.waitPermission(ctx) {
			return v, ctx.Err()
		}
	}
}

// waitPermission waits until a forbidden request is to be repeated, and returns false
// when ctx has ended.
func (h *health) waitPermission(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(spread(h.pace())):
		return true
	}
}

// pace returns how long to wait before a forbidden request is repeated, give or take.
func (h *health) pace() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.permission.retry(time.Now())
}
