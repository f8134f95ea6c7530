// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"sync"
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
				s.config = settings[(i+1)%2]
				s.config.Interface = onDevice
				check(t, s.node.Do(func() error {
					link, err := hostwatch.ReadLink(onDevice, 0)
					if err == nil {
						r.SetInterface(ndp.NewInterface(link, s.config))
					}
					return err
				}))
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

// crowd asks for one target after the other.
type crowd struct {
	t       *testing.T
	conn    *packet.Conn
	stop    chan struct{}
	tasks   sync.WaitGroup
	sent    int
	answers map[netip.Addr]int // of each target; read it after end
}

// loadPerMillisecond is how many targets are asked for at once.
const loadPerMillisecond = 10

func (s *stage) crowd() *crowd {
	l := &crowd{t: s.t, conn: s.conn, stop: make(chan struct{}), answers: make(map[netip.Addr]int)}
	raw, err := l.conn.SyscallConn()
	check(s.t, err)
	check(s.t, raw.Control(func(fd uintptr) { // a machine under load hears late
		check(s.t, unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 64<<20))
	}))
	check(s.t, l.conn.SetReadDeadline(time.Time{}))
	l.tasks.Go(l.ask)
	l.tasks.Go(l.hear)
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
		}
	}
}

// end returns how many solicitations were sent, once what was to come has come.
func (l *crowd) end() int {
	close(l.stop)
	check(l.t, l.conn.SetReadDeadline(time.Now().Add(500*time.Millisecond)))
	l.tasks.Wait()
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
