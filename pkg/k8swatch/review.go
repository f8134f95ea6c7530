// SPDX-License-Identifier: Apache-2.0

package k8swatch

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/client-go/util/flowcontrol"
)

const (
	// reviewFresh is how long an answer of the API server is taken for granted.
	reviewFresh = time.Minute
	// reviewStale is how long a permission outlives an API server that is away.
	reviewStale = time.Hour
	// reviews a second, and at once: anybody may send tokens, and our lease must
	// be renewed meanwhile. Those who were let through before have as many of
	// their own.
	reviews, reviewsAtOnce = 1, 5
	// maxReviews bounds what is remembered, and longestToken what is looked at.
	maxReviews, longestToken = 64, 16 << 10
)

// ErrReview is wrapped by the error of a review that could not be had.
var ErrReview = errors.New("cannot ask the API server about the token")

// Reviewer asks the API server whether the bearer of a token may read a page. Any
// goroutine may call it.
type Reviewer struct {
	typed    *typed
	identity string // of the client
	// strangers and acquaintances limit each their own.
	strangers, acquaintances flowcontrol.RateLimiter
	now                      func() time.Time

	mu    sync.Mutex
	known map[reviewKey]review
}

// reviewKey does not hold the token itself.
type reviewKey [sha256.Size]byte

type review struct {
	allowed bool
	at      time.Time
}

// NewReviewer returns a Reviewer with its own limit of requests.
func (c *Client) NewReviewer() *Reviewer {
	limit := func() flowcontrol.RateLimiter { return flowcontrol.NewTokenBucketRateLimiter(reviews, reviewsAtOnce) }
	return &Reviewer{typed: c.typed, identity: c.identity, strangers: limit(), acquaintances: limit(), now: time.Now, known: make(map[reviewKey]review)}
}

// Uses reports whether the reviewer asks the same server with the same account.
func (r *Reviewer) Uses(c *Client) bool { return r.identity == c.identity }

// Allowed reports whether the bearer of the token may GET the path. A permission
// that cannot be asked for again holds for an hour, as whoever watches has to see
// what the API server's outage does. Else the error wraps [ErrReview].
func (r *Reviewer) Allowed(ctx context.Context, token, path string) (bool, error) {
	if token == "" || len(token) > longestToken {
		return false, nil
	}
	key := reviewKey(sha256.Sum256(fmt.Appendf(nil, "%q %q", path, token)))
	r.mu.Lock()
	known, ok := r.known[key]
	r.mu.Unlock()
	age := r.now().Sub(known.at)
	if ok && age < reviewFresh {
		return known.allowed, nil
	}
	limit := r.strangers
	if ok && known.allowed {
		limit = r.acquaintances
	}
	if !limit.TryAccept() {
		return false, fmt.Errorf("%w: too many tokens at once", ErrReview)
	}
	allowed, err := r.ask(ctx, token, path)
	if err != nil {
		if ok && known.allowed && age < reviewStale {
			return true, nil
		}
		return false, fmt.Errorf("%w: %w", ErrReview, err)
	}
	r.remember(key, review{allowed: allowed, at: r.now()})
	return allowed, nil
}

// ask has the token authenticated, and then its user authorized.
func (r *Reviewer) ask(ctx context.Context, token, path string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	who, err := r.typed.tokenReviews().Create(ctx, &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token}})
	if err != nil || !who.Status.Authenticated {
		return false, err
	}
	user := who.Status.User
	extra := make(map[string]authorizationv1.ExtraValue, len(user.Extra))
	for k, v := range user.Extra {
		extra[k] = authorizationv1.ExtraValue(v)
	}
	may, err := r.typed.accessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: user.Username, UID: user.UID, Groups: user.Groups, Extra: extra,
		NonResourceAttributes: &authorizationv1.NonResourceAttributes{Path: path, Verb: "get"},
	}})
	if err != nil {
		return false, err
	}
	return may.Status.Allowed, nil
}

// remember keeps an answer, instead of the oldest one where there are many. The
// answer no must not push out a yes, since everybody gets one.
func (r *Reviewer) remember(key reviewKey, v review) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.known[key]; !ok && len(r.known) >= maxReviews {
		oldest, found := key, false
		for k, o := range r.known {
			if (!o.allowed || v.allowed) && (!found || o.at.Before(r.known[oldest].at)) {
				oldest, found = k, true
			}
		}
		if !found {
			return
		}
		delete(r.known, oldest)
	}
	r.known[key] = v
}
