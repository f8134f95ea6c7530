// SPDX-License-Identifier: Apache-2.0

package integration

import (
	"net/netip"
	"testing"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/daemon"
	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

// status is what a daemon tells of itself.
type status = daemon.Status

// quiet is how long a silence is listened to.
const quiet = 150 * time.Millisecond

// asker sends solicitations from the router's end of the link.
type asker struct {
	t    *testing.T
	port *harness.Port
}

func newAsker(t *testing.T, n *harness.Network) *asker {
	t.Helper()
	return &asker{t: t, port: harness.OpenPort(t, n.Router, harness.RouterPort)}
}

// ask sends one solicitation and returns the answer that comes within the time,
// nil for none. Announcements are no answers.
func (a *asker) ask(target netip.Addr, within time.Duration) []byte {
	a.t.Helper()
	a.port.Send(conformance.Solicitation(target).Bytes())
	const solicited = 0x40
	return a.next(within, func(f []byte) bool { return [16]byte(f[62:78]) == target.As16() && f[58]&solicited != 0 })
}

// hear returns the next advertisement for a target, asked for or not.
func (a *asker) hear(target netip.Addr, within time.Duration) []byte {
	a.t.Helper()
	return a.next(within, func(f []byte) bool { return [16]byte(f[62:78]) == target.As16() })
}

// next returns the next advertisement of a kind.
func (a *asker) next(within time.Duration, wanted func([]byte) bool) []byte {
	a.t.Helper()
	got := a.port.Advertisements(within, wanted)
	if n := len(got); n > 0 && wanted(got[n-1]) {
		return got[n-1]
	}
	return nil
}

// wantAnswer asks until an answer comes.
func (a *asker) wantAnswer(target netip.Addr) {
	a.t.Helper()
	harness.Eventually(a.t, "answer for "+target.String(), func() bool { return a.ask(target, 20*time.Millisecond) != nil })
}

// wantSilence asks until no answer comes, as it must not from some moment on.
func (a *asker) wantSilence(target netip.Addr) {
	a.t.Helper()
	harness.Eventually(a.t, "silence for "+target.String(), func() bool { return a.ask(target, quiet) == nil })
}
