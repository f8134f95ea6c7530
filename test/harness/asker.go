// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"net/netip"
	"testing"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/lab"
	"github.com/ndproxyd/ndproxyd/test/conformance"
)

// Quiet is how long a silence is listened to.
const Quiet = 150 * time.Millisecond

// Asker sends solicitations from the router's end of a link.
type Asker struct {
	tb   testing.TB
	Port *Port
}

// NewAsker opens an asker on a device.
func NewAsker(tb testing.TB, router *lab.Namespace, device string) *Asker {
	tb.Helper()
	return &Asker{tb: tb, Port: OpenPort(tb, router, device)}
}

// Ask sends one solicitation and returns the answer that comes within the time,
// nil for none. Announcements are no answers.
func (a *Asker) Ask(target netip.Addr, within time.Duration) []byte {
	a.tb.Helper()
	a.Port.Send(conformance.Solicitation(target).Bytes())
	return a.answer(target, within)
}

// answer returns the next answer for a target.
func (a *Asker) answer(target netip.Addr, within time.Duration) []byte {
	a.tb.Helper()
	const solicited = 0x40
	return a.next(within, func(f []byte) bool { return [16]byte(f[62:78]) == target.As16() && f[58]&solicited != 0 })
}

// Hear returns the next advertisement for a target, asked for or not.
func (a *Asker) Hear(target netip.Addr, within time.Duration) []byte {
	a.tb.Helper()
	return a.next(within, func(f []byte) bool { return [16]byte(f[62:78]) == target.As16() })
}

// Announcement returns the next unsolicited advertisement for a target, and when it
// arrived, nil for none within the time.
func (a *Asker) Announcement(target netip.Addr, within time.Duration) ([]byte, time.Time) {
	a.tb.Helper()
	const solicited = 0x40
	f := a.next(within, func(f []byte) bool { return [16]byte(f[62:78]) == target.As16() && f[58]&solicited == 0 })
	if f == nil {
		return nil, time.Time{}
	}
	return f, a.Port.Arrived()
}

// Unsolicited returns the unsolicited advertisements for a target that come
// within a time, with the time of each.
func (a *Asker) Unsolicited(target netip.Addr, within time.Duration) (frames [][]byte, at []time.Time) {
	a.tb.Helper()
	for end := time.Now().Add(within); time.Until(end) > 0; {
		if f, when := a.Announcement(target, time.Until(end)); f != nil {
			frames, at = append(frames, f), append(at, when)
		}
	}
	return frames, at
}

// next returns the next advertisement of a kind.
func (a *Asker) next(within time.Duration, wanted func([]byte) bool) []byte {
	a.tb.Helper()
	got := a.Port.Advertisements(within, wanted)
	if n := len(got); n > 0 && wanted(got[n-1]) {
		return got[n-1]
	}
	return nil
}

// WantAnswer asks until an answer comes. Then it waits for those to what it asked
// before, which come late from a daemon that was busy: the next question must not take
// them for its own.
func (a *Asker) WantAnswer(target netip.Addr) {
	a.tb.Helper()
	late := -1
	Eventually(a.tb, "answer for "+target.String(), func() bool { late++; return a.Ask(target, 20*time.Millisecond) != nil })
	for ; late > 0 && a.answer(target, Quiet) != nil; late-- {
	}
}

// WantSilence asks until no answer comes, as it must not from some moment on.
func (a *Asker) WantSilence(target netip.Addr) {
	a.tb.Helper()
	Eventually(a.tb, "silence for "+target.String(), func() bool { return a.Ask(target, Quiet) == nil })
}

// Answers is what becomes of solicitations for one target over a time.
type Answers struct {
	Asked, Unanswered int
	// Longest is the longest time without an answer, of which stalls of the machine are no
	// part.
	Longest time.Duration
}

const (
	// prompt is how long an answer may take.
	prompt = 100 * time.Millisecond
	// latest is when a router asks again (RFC 4861 §10, RETRANS_TIMER).
	latest = time.Second
)

// Answered asks once, and reports whether that is answered within 100 ms, of which stalls of
// the machine are no part, nor is time for which processors were short, if the answer comes
// before a router would ask again.
func (a *Asker) Answered(target netip.Addr) bool {
	a.tb.Helper()
	isAnswer := a.Port.Round(target)
	begin, stalled, short := time.Now(), Stalled(), shortage()
	if a.next(prompt, isAnswer) != nil {
		return true
	}
	if a.next(latest-prompt, isAnswer) == nil {
		return false
	}
	return time.Since(begin)-max(Stalled()-stalled, shortage()-short) <= prompt
}

// While asks for a target, one time after the other, until f returns, and counts what
// [Asker.Answered] says.
func (a *Asker) While(target netip.Addr, f func()) Answers {
	a.tb.Helper()
	stop, got := make(chan struct{}), make(chan Answers, 1)
	go func() { got <- a.until(stop, target) }()
	func() {
		defer close(stop) // also when f ends the test
		f()
	}()
	return <-got
}

func (a *Asker) until(stop <-chan struct{}, target netip.Addr) (got Answers) {
	for last, stalled := time.Now(), Stalled(); ; {
		select {
		case <-stop:
			return got
		default:
		}
		got.Asked++
		answered := a.Answered(target)
		got.Longest = max(got.Longest, time.Since(last)-(Stalled()-stalled))
		if !answered {
			got.Unanswered++
			continue
		}
		last, stalled = time.Now(), Stalled()
		time.Sleep(time.Millisecond)
	}
}
