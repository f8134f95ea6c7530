// SPDX-License-Identifier: Apache-2.0

package ndp

import (
	"context"
	"errors"
	"testing"
)

// TestAliveBesideAnother has somebody ask a loop that is stuck, with more time
// than whoever asks next: that one waits for no longer than its own time.
func TestAliveBesideAnother(t *testing.T) {
	t.Parallel()
	l := &Listener{asking: make(chan struct{}, 1)}
	l.asking <- struct{}{}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Alive(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("the error is %v", err)
	}
}
