// SPDX-License-Identifier: Apache-2.0

package fastpath_test

import (
	"errors"
	"testing"

	"github.com/ndproxyd/ndproxyd/internal/fastpath"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

// TestRetried attaches the program again after a change of it has failed.
func TestRetried(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.listen(harness.Uplink, rules.Uplink{FastPath: rules.FastPathTC}, fastpath.Options{Directory: t.TempDir()})
	must(t, r.Node.Do(func() error { fastpath.GiveUp(r.responder, errors.New("no room")); return nil }))
	r.wantPath("", "no room")
	r.waitPath("tcx")
	r.wantAnswers(true)
}
