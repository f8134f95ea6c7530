// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/mdlayher/packet"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
	"github.com/ndproxyd/ndproxyd/test/conformance"
)

// confirmed reports whether a unicast solicitation for an address gets an answer.
func (s *stage) confirmed(address netip.Addr, within time.Duration) bool {
	s.t.Helper()
	f := conformance.Solicitation(address)
	f.EtherDst, f.Dest = conformance.NodeMAC, address
	frame := f.Bytes()
	_, err := s.conn.WriteTo(frame, &packet.Addr{HardwareAddr: frame[:6]})
	check(s.t, err)
	return s.advertised(within, func(f []byte) bool { return [16]byte(f[62:78]) == address.As16() }) != nil
}

// deadlines returns what the program goes by.
func (s *stage) deadlines() (d programDeadlines) {
	s.t.Helper()
	m, err := ebpf.LoadPinnedMap(filepath.Join(s.folderPath(), programMapLife), nil)
	check(s.t, err)
	defer m.Close()
	check(s.t, m.Lookup(uint32(0), &d))
	return d
}

// TestConsumedLater gives the host an address after the end of a daemon with consume_unicast,
// within a prefix of the rules: the kernel answers for it as soon as the program no longer
// takes the daemon to be alive. What is answered for is so still.
func TestConsumedLater(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		end  func(t *testing.T, r *Responder)
		once bool // it is dead at once
	}{
		"killed": {end: crash},
		"ended":  {end: func(t *testing.T, r *Responder) { check(t, r.Hold()) }, once: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			s.config.ConsumeUnicast = true
			s.config.FastPathHold = time.Hour
			added := netip.MustParseAddr("2001:db8:f2::7")
			r := s.listen(view(t, static("2001:db8:f1::/64"), rules.Rule{Prefix: netip.MustParsePrefix("2001:db8:f2::/64"), Method: rules.Route}))
			s.next(r, aliveHold/signs)
			check(t, s.node.Address(onDevice, added.String()+"/64"))
			time.Sleep(aliveHold + aliveHold/signs)
			if s.confirmed(added, silence) {
				t.Error("the program, which has not heard of the address, does not consume")
			}
			c.end(t, r)
			if at := s.deadlines().AliveUntil; (at == 0) != c.once {
				t.Errorf("the daemon is taken to be alive until %d", at)
			}
			s.eventually("the kernel's answer", func() bool { return s.confirmed(added, silence) })
			s.want("without a daemon", "2001:db8:f1::1", true)
			if !s.confirmed(netip.MustParseAddr("2001:db8:f1::1"), patience) {
				t.Error("a unicast solicitation is not answered without a daemon")
			}
			r = s.listen(view(t, static("2001:db8:f1::/64")))
			check(t, r.Close())
		})
	}
}

// TestSignsWithoutConsuming gives signs of life seldom where the program does nothing that it
// must not do without a daemon: what it does may change by the settings, and by the way.
func TestSignsWithoutConsuming(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		uplink rules.Uplink
		often  bool
	}{
		"tc":                  {rules.Uplink{FastPath: rules.FastPathTC}, false},
		"tc, which consumes":  {rules.Uplink{FastPath: rules.FastPathTC, ConsumeUnicast: true}, true},
		"XDP, beside a table": {rules.Uplink{FastPath: rules.FastPathXDPGeneric, ConsumeUnicast: true}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			c.uplink.Interface = onDevice
			s.config = c.uplink
			r := s.listen(view(t, static("2001:db8:f1::/64")))
			want := s.config.Hold() / signs
			if c.often {
				want = aliveHold / signs
			}
			s.next(r, want)
			check(t, r.Close())
		})
	}
}
