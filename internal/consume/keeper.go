// SPDX-License-Identifier: Apache-2.0

package consume

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/task"
)

// lastingRetry is how long to wait after an error that only an operator can
// correct, by granting a capability or booting another kernel.
const lastingRetry = time.Minute

// Setter is a table that can be set: a [Table], or a fake.
type Setter interface {
	// Set replaces all that the table does. After an error nothing is known of
	// the table but that Close removes it.
	Set(uplinks []Uplink) error
	Close() error
}

// Keeper keeps the table as it was wanted last. It is a [task.Task].
type Keeper struct {
	open    func() (Setter, error)
	tries   func() // is called after each attempt
	log     *slog.Logger
	changed chan struct{} // want has changed; holds one

	mu    sync.Mutex
	want  []Uplink
	fault error
	tried bool     // the first want was tried, with whatever result
	done  []Uplink // what was tried last

	// The rest belongs to Run.
	table   Setter // nil while nothing is wanted, and after an error
	backoff task.Backoff
}

// NewKeeper returns a Keeper that makes its tables with open, and calls tries after each
// attempt, which must not block.
func NewKeeper(open func() (Setter, error), tries func(), log *slog.Logger) *Keeper {
	return &Keeper{open: open, tries: tries, log: log, changed: make(chan struct{}, 1)}
}

// String names the task.
func (k *Keeper) String() string { return "nftables table" }

// Ready returns nil once the table was tried for the first time, even in vain:
// uplinks answer without it, and [Keeper.Fault] says what is wrong.
func (k *Keeper) Ready() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.tried {
		return errors.New("its first attempt")
	}
	return nil
}

// Tried reports whether the table does what uplinks ask for, or cannot be made.
func (k *Keeper) Tried(uplinks []Uplink) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.fault != nil || slices.EqualFunc(uplinks, k.done, Uplink.equal)
}

// Fault returns why the table is not as it is wanted, nil when it is.
func (k *Keeper) Fault() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.fault
}

// Want replaces what the table is to do; without uplinks there is no table. It
// never waits for the kernel, and does nothing when the same is wanted already.
func (k *Keeper) Want(uplinks []Uplink) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if slices.EqualFunc(uplinks, k.want, Uplink.equal) {
		return
	}
	want := make([]Uplink, 0, len(uplinks))
	for _, u := range uplinks {
		want = append(want, u.clone())
	}
	k.want = want
	select {
	case k.changed <- struct{}{}:
	default: // Run has not looked yet, and will find this one
	}
}

// Run keeps the table until ctx ends, and removes it then.
func (k *Keeper) Run(ctx context.Context) error {
	defer k.close()
	retry := time.NewTimer(0) // which is the first attempt
	defer retry.Stop()
	waiting := true // for retry
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-k.changed:
			// What failed a moment ago would fail again.
			if waiting && k.wanted() != nil {
				continue
			}
		case <-retry.C:
		}
		want := k.wanted()
		wait := k.set(want)
		k.setDone(want)
		k.tries()
		if waiting = wait > 0; waiting {
			retry.Reset(wait)
		} else {
			retry.Stop()
		}
	}
}

func (k *Keeper) setDone(want []Uplink) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.done = want
}

// wanted returns what is wanted now, nil for no table.
func (k *Keeper) wanted() []Uplink {
	k.mu.Lock()
	defer k.mu.Unlock()
	select {
	case <-k.changed: // it was for what is returned here
	default:
	}
	if len(k.want) == 0 {
		return nil
	}
	return k.want // Want replaces it, and never changes it
}

// set makes the table do what is wanted, and returns when to try again, 0 for not
// at all.
func (k *Keeper) set(want []Uplink) time.Duration {
	if want == nil {
		k.close()
		k.backoff.Reset()
		k.report(nil)
		return 0
	}
	uplinks, left := bounded(want)
	if err := k.apply(uplinks); err != nil {
		// Nobody knows what the kernel has now. A table that does not say what
		// is wanted is worse than none: it drops solicitations that nobody
		// answers.
		k.close()
		k.report(err)
		if errors.Is(err, os.ErrPermission) || errors.Is(err, ErrUnsupported) {
			return lastingRetry
		}
		return k.backoff.Next()
	}
	k.backoff.Reset()
	k.report(left)
	return 0
}

func (k *Keeper) apply(uplinks []Uplink) error {
	if k.table == nil {
		table, err := k.open()
		if err != nil {
			return err
		}
		k.table = table
	}
	return k.table.Set(uplinks)
}

// close removes the table.
func (k *Keeper) close() {
	if k.table == nil {
		return
	}
	if err := k.table.Close(); err != nil {
		k.log.Warn("closing the nftables table failed", "err", err)
	}
	k.table = nil
}

// report notes how an attempt went, and logs a fault once, however often the
// attempt is repeated.
func (k *Keeper) report(err error) {
	k.mu.Lock()
	before := k.fault
	k.fault, k.tried = err, true
	k.mu.Unlock()
	switch {
	case err == nil && before != nil:
		k.log.Info("nftables table is as wanted")
	case err != nil && (before == nil || before.Error() != err.Error()):
		k.log.Warn("nftables table is not as wanted", "err", err)
	}
}
