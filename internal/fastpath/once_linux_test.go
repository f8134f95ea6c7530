// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/pkg/hostwatch"
	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
	"github.com/ndproxyd/ndproxyd/test/conformance"
)

// TestAnsweredOnce changes settings that another way answers for, or another socket, while
// solicitations come: each has one answer, and is counted once.
func TestAnsweredOnce(t *testing.T) {
	t.Parallel()
	socket, early := rules.Uplink{FastPath: rules.FastPathOff}, rules.Uplink{FastPath: rules.FastPathOff, Early: true}
	tc, generic := rules.Uplink{FastPath: rules.FastPathTC}, rules.Uplink{FastPath: rules.FastPathXDPGeneric}
	earlyGeneric := rules.Uplink{FastPath: rules.FastPathXDPGeneric, Early: true}
	limited := rules.Uplink{FastPath: rules.FastPathTC, LimitPerAsker: 1_000_000}
	consuming := rules.Uplink{FastPath: rules.FastPathTC, ConsumeUnicast: true}
	for name, settings := range map[string][2]rules.Uplink{
		"socket, early":             {socket, early},
		"tc, early":                 {tc, early},
		"tc, XDP before early":      {tc, earlyGeneric},
		"XDP, XDP before early":     {generic, earlyGeneric},
		"XDP before early, limited": {earlyGeneric, limited},
		"early, limited":            {early, limited},
		"tc, socket":                {tc, socket},
		"tc, XDP":                   {tc, generic},
		"tc, consuming":             {tc, consuming},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			s.config = settings[0]
			s.config.Interface = onDevice
			r := s.listen(view(t, static("2001:db8:f1::/64")))
			check(t, r.SetAllMulticast(true))
			l := s.crowd()
			for i := range 4 {
				time.Sleep(50 * time.Millisecond)
				s.change(r, settings[(i+1)%2])
			}
			time.Sleep(50 * time.Millisecond)
			sent := l.end()
			check(t, errors.Join(r.Alive(t.Context()), r.CountDrops())) // the socket counts what it has sent
			for target, n := range l.answers {
				if n != 1 {
					t.Errorf("%s has %d answers", target, n)
				}
			}
			if len(l.answers) != sent {
				t.Errorf("%d of %d solicitations are answered", len(l.answers), sent)
			}
			if n := s.counters.Received[ndp.Multicast].Load(); n != uint64(sent) {
				t.Errorf("%d of %d solicitations are counted", n, sent)
			}
			if n := s.counters.Answered[ndp.Multicast].Load(); n != uint64(sent) {
				t.Errorf("%d answers to %d solicitations are counted", n, sent)
			}
			check(t, s.node.Do(r.Close))
		})
	}
}

// change gives a responder other settings.
func (s *stage) change(r *Responder, u rules.Uplink) {
	s.t.Helper()
	s.config = u
	s.config.Interface = onDevice
	check(s.t, s.node.Do(func() error {
		link, err := hostwatch.ReadLink(onDevice, 0)
		if err == nil {
			r.SetInterface(ndp.NewInterface(link, s.config))
		}
		return err
	}))
}

// TestStaysWhereItWas has the packet socket be unable to move: what answers beside it is
// what may do so where it is.
func TestStaysWhereItWas(t *testing.T) {
	t.Parallel()
	early := rules.Uplink{FastPath: rules.FastPathAuto, Early: true}
	for name, c := range map[string]struct {
		before, after rules.Uplink
		want          ndp.Way
	}{
		"not early":   {rules.Uplink{FastPath: rules.FastPathAuto}, early, ndp.WayTC},
		"still early": {early, rules.Uplink{FastPath: rules.FastPathAuto}, ndp.WaySocket},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			s.config = c.before
			s.config.Interface = onDevice
			r := s.listen(view(t, static("2001:db8:f1::/64")))
			before := r.Path().Way
			check(t, r.Listener.Close()) // whose socket goes nowhere any more
			for range 2 {
				s.change(r, c.after)
				if p := r.Path(); p.Way != c.want || before != c.want {
					t.Errorf("the path is %+v, and was %s", p, before)
				}
			}
			s.want("after the change", "2001:db8:f1::1", c.want == ndp.WayTC)
			_ = s.node.Do(r.Close) // which has no socket to close
		})
	}
}

// crowd asks for one target after the other.
type crowd struct {
	*stage
	stop    chan struct{}
	asking  sync.WaitGroup
	hearing sync.WaitGroup
	sent    int
	heard   atomic.Int64       // answers
	answers map[netip.Addr]int // of each target; read it after end
}

// loadPerMillisecond is how many targets are asked for at once.
const loadPerMillisecond = 10

func (s *stage) crowd() *crowd {
	l := &crowd{stage: s, stop: make(chan struct{}), answers: make(map[netip.Addr]int)}
	raw, err := l.conn.SyscallConn()
	check(s.t, err)
	check(s.t, raw.Control(func(fd uintptr) { // a machine under load hears late
		check(s.t, unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 64<<20))
	}))
	check(s.t, l.conn.SetReadDeadline(time.Time{}))
	l.asking.Go(l.ask)
	l.hearing.Go(l.hear)
	return l
}

func (l *crowd) ask() {
	for {
		select {
		case <-l.stop:
			return
		case <-time.After(time.Millisecond):
		}
		for range loadPerMillisecond {
			l.sent++
			target := netip.MustParseAddr(fmt.Sprintf("2001:db8:f1::%x:%x", l.sent>>16, l.sent&0xffff))
			frame := conformance.Solicitation(target).Bytes()
			if _, err := l.conn.WriteTo(frame, &packet.Addr{HardwareAddr: frame[:6]}); err != nil {
				l.t.Error(err)
				return
			}
		}
	}
}

func (l *crowd) hear() {
	buf := make([]byte, 256)
	for {
		n, _, err := l.conn.ReadFrom(buf)
		if os.IsTimeout(err) {
			return
		}
		if err != nil {
			l.t.Error(err)
			return
		}
		if n >= 86 && buf[54] == 136 {
			l.answers[netip.AddrFrom16([16]byte(buf[62:78]))]++
			l.heard.Add(1)
		}
	}
}

// end returns how many solicitations were sent, once what was to come has come.
func (l *crowd) end() int {
	close(l.stop)
	l.asking.Wait()
	l.eventually("all answers", func() bool { return l.heard.Load() >= int64(l.sent) })
	check(l.t, l.conn.SetReadDeadline(time.Now().Add(silence))) // for a second one
	l.hearing.Wait()
	return l.sent
}

// TestAnsweredOnceAfterRestart has a daemon with an early socket begin where the one before
// has left its program at tc ingress.
func TestAnsweredOnceAfterRestart(t *testing.T) {
	t.Parallel()
	for name, mode := range map[string]rules.FastPathMode{"socket": rules.FastPathAuto, "XDP": rules.FastPathXDPGeneric} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			v := view(t, static("2001:db8:f1::/64"))
			r := s.listen(v)
			check(t, r.SetAllMulticast(true))
			l := s.crowd()
			time.Sleep(50 * time.Millisecond)
			crash(t, r)
			s.config.Early, s.config.FastPath = true, mode
			r = s.listen(v)
			check(t, r.SetAllMulticast(true))
			time.Sleep(50 * time.Millisecond)
			sent := l.end()
			for target, n := range l.answers {
				if n != 1 {
					t.Errorf("%s has %d answers", target, n)
				}
			}
			if len(l.answers) != sent {
				t.Errorf("%d of %d solicitations are answered", len(l.answers), sent)
			}
			check(t, s.node.Do(r.Close))
		})
	}
}
