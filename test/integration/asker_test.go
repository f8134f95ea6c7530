// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"context"
	"testing"
	"time"

	"github.com/ndproxyd/ndproxyd/test/harness"
)

// newAsker asks on a network's link.
func newAsker(t *testing.T, n *harness.Network) *harness.Asker {
	t.Helper()
	return harness.NewAsker(t, n.Router, harness.RouterPort)
}

// shortly is the context of a call that may not be answered.
func shortly(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}
