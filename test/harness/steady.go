// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/internal/lab"
	"github.com/ndproxyd/ndproxyd/test/conformance"
)

const (
	// steadyPeriod is the time between the questions of a steady router.
	steadyPeriod = 50 * time.Millisecond
	// steadyPatience is how long it waits for an answer: as long as its three
	// solicitations take (RFC 4861 §10, MAX_MULTICAST_SOLICIT and RETRANS_TIMER).
	steadyPatience = 3 * time.Second
	// steadyLost is how many may be lost before it waits for a period only: the test
	// has failed, and is not to take long.
	steadyLost = 2
)

// Steady is a router that asks for one address all the time, while a test does
// something else to the daemon.
type Steady struct {
	tb     testing.TB
	conn   *packet.Conn
	frame  []byte
	sent   atomic.Int64
	end    chan struct{}
	result chan Asked
	once   func() Asked
}

// Asked is what a steady router has seen.
type Asked struct {
	Sent, Lost    int
	P50, P99, Max time.Duration
}

// NewSteady begins to ask for a target every 50 ms. It hears nothing but the answers
// for the target, so that no flood on the same link fills its socket.
func NewSteady(tb testing.TB, router *lab.Namespace, device string, target netip.Addr) *Steady {
	tb.Helper()
	s := &Steady{
		tb: tb, frame: conformance.Solicitation(target).Bytes(),
		end: make(chan struct{}), result: make(chan Asked, 1),
	}
	s.conn = hearing(tb, router, device, target, 0x40) // solicited, RFC 4861 §4.4
	go s.ask()
	s.once = sync.OnceValue(func() Asked {
		close(s.end)
		got := <-s.result
		_ = s.conn.Close()
		return got
	})
	tb.Cleanup(func() { s.once() })
	return s
}

// Stop ends the questions, and fails the test if one was lost. what says beside what
// they were asked.
func (s *Steady) Stop(what string) Asked {
	s.tb.Helper()
	got := s.once()
	s.tb.Logf("beside %s: %d solicitations, %d lost, p50 %s, p99 %s, max %s", what, got.Sent, got.Lost, got.P50, got.P99, got.Max)
	if got.Lost > 0 || got.Sent == 0 {
		s.tb.Errorf("beside %s %d of %d solicitations of the router were lost", what, got.Lost, got.Sent)
	}
	return got
}

// For waits until the router has asked n times at least.
func (s *Steady) For(n int) {
	s.tb.Helper()
	for int(s.sent.Load()) < n {
		time.Sleep(steadyPeriod)
	}
}

func (s *Steady) ask() {
	var got Asked
	var took []time.Duration
	buf := make([]byte, 256)
	tick := time.NewTicker(steadyPeriod)
	defer tick.Stop()
	Stalled() // from now on, stalls are noted
	for {
		begin := time.Now()
		patience := steadyPatience
		if got.Lost >= steadyLost {
			patience = steadyPeriod
		}
		if _, err := s.conn.WriteTo(s.frame, &packet.Addr{HardwareAddr: s.frame[:6]}); err != nil {
			s.tb.Errorf("steady router: %v", err)
		}
		got.Sent++
		s.sent.Add(1)
		switch _, err := readWithin(s.conn, buf, patience); {
		case err == nil:
			took = append(took, time.Since(begin))
		case os.IsTimeout(err):
			got.Lost++
		default:
			s.tb.Errorf("steady router: %v", err)
		}
		select {
		case <-s.end:
			if len(took) > 0 {
				slices.Sort(took)
				got.P50, got.P99, got.Max = took[len(took)/2], took[len(took)*99/100], took[len(took)-1]
			}
			s.result <- got
			return
		case <-tick.C:
		}
	}
}

// AskOnce sends a solicitation or a probe of duplicate address detection, and reports
// whether an advertisement for its target comes within a time. As a steady router it
// hears nothing else.
func AskOnce(tb testing.TB, router *lab.Namespace, device string, question conformance.Frame, within time.Duration) bool {
	tb.Helper()
	conn := hearing(tb, router, device, question.Target, 0)
	defer conn.Close()
	frame := question.Bytes()
	_, err := conn.WriteTo(frame, &packet.Addr{HardwareAddr: frame[:6]})
	Must(tb, err)
	_, err = readWithin(conn, make([]byte, 256), within)
	return err == nil
}

// hearing opens a socket that hears the advertisements for a target, with a flag, if it
// is not 0.
func hearing(tb testing.TB, router *lab.Namespace, device string, target netip.Addr, flag uint32) (conn *packet.Conn) {
	tb.Helper()
	filter := advertisementsFor(tb, target, flag)
	Must(tb, router.Do(func() error {
		ifi, err := net.InterfaceByName(device)
		if err == nil {
			conn, err = packet.Listen(ifi, packet.Raw, unix.ETH_P_ALL, &packet.Config{Filter: filter})
		}
		return err
	}))
	ignoreOutgoing(tb, conn)
	return conn
}

// advertisementsFor is a filter that passes Neighbor Advertisements for a target.
func advertisementsFor(tb testing.TB, target netip.Addr, flag uint32) []bpf.RawInstruction {
	tb.Helper()
	const (
		etherType, nextHeader, icmpType, flags, targetAt = 12, 20, 54, 58, 62
		whole                                            = 256
	)
	t := target.As16()
	type condition struct {
		offset uint32
		size   int
		value  uint32
	}
	conditions := []condition{{etherType, 2, 0x86dd}, {nextHeader, 1, 58}, {icmpType, 1, 136}}
	for i := uint32(0); i < 16; i += 4 {
		conditions = append(conditions, condition{targetAt + i, 4, uint32(t[i])<<24 | uint32(t[i+1])<<16 | uint32(t[i+2])<<8 | uint32(t[i+3])})
	}
	var program []bpf.Instruction
	left := len(conditions)
	for _, c := range conditions {
		left--
		program = append(program, bpf.LoadAbsolute{Off: c.offset, Size: c.size},
			bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: c.value, SkipTrue: uint8(2*left + 4)})
	}
	program = append(program,
		bpf.LoadAbsolute{Off: flags, Size: 1},
		bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: flag},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: flag, SkipTrue: 1},
		bpf.RetConstant{Val: whole}, bpf.RetConstant{Val: 0})
	raw, err := bpf.Assemble(program)
	Must(tb, err)
	return raw
}
