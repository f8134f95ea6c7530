// SPDX-License-Identifier: Apache-2.0

package measure

import (
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/test/harness"
	"github.com/ndproxyd/ndproxyd/test/load"
)

// routed is the prefix of package load's other targets.
var routed = netip.MustParsePrefix("2001:db8:101::/64")

// What happens to a daemon while it is asked.
const (
	kills, restarts, reloads = 50, 50, 10
	handoverPPS              = 10_000
)

// BenchmarkHandover kills the daemon, restarts it and has it reload its file, while
// 10,000 solicitations a second come for new random targets, of a static prefix and of
// one with a route in turn. It counts those that nobody answers.
func BenchmarkHandover(b *testing.B) {
	byWay(b, func(b *testing.B, way string) {
		n := network(b)
		answersNatively(b, n, way)
		harness.Must(b, n.Node.Route(routed.String(), "", pods))
		folder := harness.BPFFS(b)
		rules := []string{loaded.String() + "=static", routed.String() + "=route"}
		path := config(b, folder, way, rules...)
		start := func() *harness.Daemon { return harness.Run(b, n.Node, "--config", path) }
		d := start()
		s := asked(b, n)
		for b.Loop() {
			s.count("kill", func() {
				for range kills {
					harness.Must(b, d.Process.Kill())
					d.Exit()
					d = start()
					time.Sleep(50 * time.Millisecond)
				}
			})
			s.count("restart", func() {
				for range restarts {
					d.Signal(syscall.SIGTERM)
					d.Exit()
					d = start()
					time.Sleep(50 * time.Millisecond)
				}
			})
			s.count("reload", func() {
				for i := range reloads {
					more := rules
					if i%2 == 0 {
						more = append(more, "2001:db8:102::/64=static")
					}
					harness.Rewrite(b, path, configText(folder, way, more...))
					d.Reload()
					time.Sleep(50 * time.Millisecond)
				}
			})
		}
		b.ReportMetric(0, "ns/op")
	})
}

// stream is a router that asks for a new random target all the time, and notes for
// which it heard an answer.
type stream struct {
	b        *testing.B
	sender   *load.Sender
	conn     *packet.Conn
	answered map[uint64]bool // by sequence number
	seq      uint64
}

// asked opens a stream.
func asked(b *testing.B, n *harness.Network) *stream {
	b.Helper()
	s := &stream{b: b}
	var err error
	s.sender, err = load.NewSender(n.Router, harness.RouterPort, load.Options{Prefixes: []netip.Prefix{loaded, routed}})
	harness.Must(b, err)
	b.Cleanup(func() { _ = s.sender.Close() })
	filter, err := bpf.Assemble([]bpf.Instruction{
		bpf.LoadAbsolute{Off: 20, Size: 1}, // next header
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 58, SkipTrue: 3},
		bpf.LoadAbsolute{Off: 54, Size: 1}, // type
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 136, SkipTrue: 1},
		bpf.RetConstant{Val: 256}, bpf.RetConstant{Val: 0},
	})
	harness.Must(b, err)
	harness.Must(b, n.Router.Do(func() error {
		device, err := net.InterfaceByName(harness.RouterPort)
		if err != nil {
			return err
		}
		s.conn, err = packet.Listen(device, packet.Raw, unix.ETH_P_IPV6, &packet.Config{Filter: filter})
		return err
	}))
	b.Cleanup(func() { _ = s.conn.Close() })
	raw, err := s.conn.SyscallConn()
	harness.Must(b, err)
	harness.Must(b, raw.Control(func(fd uintptr) {
		harness.Must(b, unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 64<<20))
	}))
	return s
}

// count asks while f runs, and reports how many solicitations were lost.
func (s *stream) count(what string, f func()) {
	s.b.Helper()
	s.answered = make(map[uint64]bool)
	first, end, sent := s.seq, make(chan struct{}), make(chan error, 1)
	heard := make(chan error, 1)
	harness.Must(s.b, s.conn.SetReadDeadline(time.Time{}))
	go func() { sent <- s.send(end) }()
	go func() { heard <- s.hear() }()
	f()
	close(end)
	harness.Must(s.b, <-sent)
	harness.Must(s.b, s.conn.SetReadDeadline(time.Now().Add(200*time.Millisecond)))
	harness.Must(s.b, <-heard)
	if stats, err := s.conn.Stats(); err != nil || stats.Drops > 0 {
		s.b.Errorf("the router itself lost answers: %+v, %v", stats, err)
	}
	lost := 0
	for seq := first; seq < s.seq; seq++ {
		if !s.answered[seq] {
			lost++
		}
	}
	s.b.ReportMetric(float64(lost), what+"-lost")
	s.b.ReportMetric(float64(s.seq-first), what+"-solicitations")
}

// send asks until the end.
func (s *stream) send(end <-chan struct{}) error {
	for begin, sent := time.Now(), 0; ; time.Sleep(200 * time.Microsecond) {
		select {
		case <-end:
			return nil
		default:
		}
		due := min(int(time.Since(begin).Seconds()*handoverPPS)-sent, 64)
		if due <= 0 {
			continue
		}
		k, err := s.sender.Send(s.seq, due)
		s.seq, sent = s.seq+uint64(k), sent+k
		if err != nil {
			return err
		}
	}
}

// hear notes the answers until the deadline.
func (s *stream) hear() error {
	for buf := make([]byte, 256); ; {
		n, _, err := s.conn.ReadFrom(buf)
		switch {
		case os.IsTimeout(err):
			return nil
		case err != nil:
			return err
		case n >= 78:
			s.answered[binary.BigEndian.Uint64(buf[70:])*load.Unspread] = true
		}
	}
}
