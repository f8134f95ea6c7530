// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"testing"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/config"
	"github.com/ndproxyd/ndproxyd/pkg/k8swatch"
	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// TestAsks lets others answer for a service address or use it, and asks whether the link
// has to be asked before this node announces it.
func TestAsks(t *testing.T) {
	t.Parallel()
	stranger := [6]byte{2, 0, 0, 0, 0, 9}
	a := service(0)
	sign := func(mac [6]byte, change func(*ndp.Sighting)) func(*bench) {
		s := ndp.Sighting{Address: a, MAC: mac, Advertisement: true}
		change(&s)
		return func(b *bench) { b.Heard(uplink, s) }
	}
	announces := func(s *ndp.Sighting) { s.Override = true }
	answers := func(s *ndp.Sighting) { s.Solicited = true }
	owns := func(s *ndp.Sighting) { s.Solicited, s.Override = true, true }
	speaks := func(s *ndp.Sighting) { s.Advertisement = false }
	detects := func(s *ndp.Sighting) { s.Advertisement, s.Tentative = false, true }
	later := func(b *bench) { b.run(answersFor, other) }
	tests := []struct {
		name string
		do   []func(*bench)
		want bool
	}{
		{"nothing was heard", nil, true},
		{"this node announces it", []func(*bench){func(b *bench) { b.Announced(uplink, a) }}, false},
		{"on another uplink", []func(*bench){func(b *bench) { b.Announced("eth9", a) }}, true},
		{"an announcer announces it", []func(*bench){sign(otherMAC, announces)}, false},
		{"an announcer answers for it", []func(*bench){sign(otherMAC, answers), later, sign(otherMAC, answers)}, false},
		{"an announcer answers for it once", []func(*bench){sign(otherMAC, answers), later}, true},
		{"an announcer answers for it for less", []func(*bench){sign(otherMAC, answers), sign(otherMAC, answers)}, true},
		{"a stranger has it meanwhile", []func(*bench){sign(otherMAC, answers), later, sign(stranger, owns), sign(otherMAC, answers)}, true},
		{"the kernel of its node has it", []func(*bench){sign(otherMAC, announces), sign(otherMAC, owns)}, true},
		{"a stranger has it", []func(*bench){sign(otherMAC, announces), sign(stranger, owns)}, true},
		{"a stranger announces it", []func(*bench){sign(otherMAC, announces), sign(stranger, announces)}, true},
		{"a stranger speaks from it", []func(*bench){sign(otherMAC, announces), sign(stranger, speaks)}, true},
		{"a stranger is about to have it", []func(*bench){sign(otherMAC, announces), sign(stranger, detects)}, true},
		{"an announcer primes a switch for it", []func(*bench){sign(otherMAC, announces), sign(otherMAC, detects)}, false},
		{"a proxy answers for it, too", []func(*bench){sign(otherMAC, announces), sign(stranger, answers)}, false},
		{"an uplink of this node on the same link", []func(*bench){sign(otherMAC, announces), sign(selfMAC, speaks)}, false},
		{"the service was made anew", []func(*bench){sign(otherMAC, announces), func(b *bench) {
			changes := []k8swatch.AddressChange{{Address: a}}
			changes[0].Gone = true
			b.last().handler.Services(changes)
			b.services(1)
		}}, true},
		{"the configuration was loaded anew", []func(*bench){sign(otherMAC, announces), func(b *bench) {
			b.configure(func(c *config.Config) { c.Kubernetes.Weight = 2 })
		}}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(b *bench) {
				b.renew(other, otherMAC)
				b.knowLeases()
				b.services(1)
				b.renewSelf()
				for _, do := range tt.do {
					do(b)
				}
				if got := b.Asks(uplink, a); got != tt.want {
					t.Errorf("got %t", got)
				}
			})
		})
	}
	t.Run("an address that is no service's", func(t *testing.T) {
		t.Parallel()
		inBubble(t, func(b *bench) {
			b.Announced(uplink, service(7))
			if b.Asks(uplink, service(7)) || b.Shares(service(7)) {
				t.Error("it is asked for")
			}
		})
	})
}

// TestLearn has another node own addresses: it is asked for each once, and again after a
// while where it does not answer.
func TestLearn(t *testing.T) {
	t.Parallel()
	const n = 2 * learnAsks
	inBubble(t, func(b *bench) {
		b.renew(other, otherMAC)
		b.knowLeases()
		b.services(n)
		asked := func() (count int) {
			b.uplinks.record(func() {
				for _, a := range b.uplinks.asked {
					if !rules.PresencePrefix().Contains(a) {
						count++
					}
				}
			})
			return count
		}
		b.run(time.Second, other)
		if got := asked(); got == 0 || got > 2*learnAsks {
			t.Errorf("%d questions in a second", got)
		}
		b.run(10*time.Second, other)
		if got := asked(); got != n {
			t.Errorf("%d questions for %d addresses", got, n)
		}
		answer := func() {
			for i := range n {
				if i > 0 { // of one the owner is silent
					b.Heard(uplink, ndp.Sighting{Address: service(i), MAC: otherMAC, Advertisement: true, Solicited: true})
				}
			}
		}
		answer()
		b.run(2*answersFor+5*time.Second, other)
		if got := asked(); got < 2*n-1 {
			t.Errorf("%d questions, want another one for each address", got-n)
		}
		answer()
		before := asked()
		b.run(25*time.Second, other)
		if got := asked() - before; got > 1 {
			t.Errorf("%d questions, want one more", got)
		}
	})
}
