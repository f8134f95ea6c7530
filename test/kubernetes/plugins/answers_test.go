// SPDX-License-Identifier: Apache-2.0

//go:build full

package plugins

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ndproxyd/ndproxyd/test/harness"
)

// silent stands for no host.
const silent = -1

// census asks for all targets at once and says which hosts have answered for each, a host
// as often as it has.
func (s *site) census(targets []netip.Addr, within time.Duration) map[netip.Addr][]int {
	s.t.Helper()
	isAnswer := s.port.Round(targets...)
	got := make(map[netip.Addr][]int)
	for _, f := range s.port.Advertisements(within, harness.Never) {
		if !isAnswer(f) {
			continue
		}
		target := netip.AddrFrom16([16]byte(f[62:78]))
		who := slices.IndexFunc(s.hosts[:], func(h *host) bool { return slices.Equal(f[6:12], h.MAC[:]) })
		got[target] = append(got[target], who)
	}
	return got
}

// differs says where the answers are not those that are wanted: of one host, or of none.
func (s *site) differs(want map[netip.Addr]int, within time.Duration) string {
	s.t.Helper()
	targets := slices.SortedFunc(maps.Keys(want), netip.Addr.Compare)
	got := s.census(targets, within)
	var wrong []string
	for _, target := range targets {
		expected := []int{want[target]}
		if want[target] == silent {
			expected = nil
		}
		if !slices.Equal(got[target], expected) {
			wrong = append(wrong, fmt.Sprintf("%s by %s, want %s", target, s.names(got[target]), s.names(expected)))
		}
	}
	return strings.Join(wrong, "; ")
}

func (s *site) names(hosts []int) string {
	if len(hosts) == 0 || hosts[0] == silent {
		return "nobody"
	}
	names := make([]string, len(hosts))
	for i, h := range hosts {
		names[i] = s.hosts[h].Name
	}
	return strings.Join(names, " and ")
}

// want waits until the answers are those that are wanted.
func (s *site) want(t *testing.T, what string, want map[netip.Addr]int) {
	t.Helper()
	var differs string
	const patience = time.Minute
	for end := time.Now().Add(patience); time.Now().Before(end); {
		if differs = s.differs(want, harness.Quiet); differs == "" {
			return
		}
	}
	t.Fatalf("%s: after %s still %s", what, patience, differs)
}

// throughout asks again and again until f returns. No address may be answered for by
// another host than is wanted, or twice. What is not answered in time is counted only: the
// machine may be busy.
func (s *site) throughout(t *testing.T, what string, want map[netip.Addr]int, f func()) {
	t.Helper()
	targets := slices.Collect(maps.Keys(want))
	stop, ended := make(chan struct{}), make(chan struct{})
	asked, unanswered, wrong := 0, 0, ""
	go func() {
		defer close(ended)
		for {
			select {
			case <-stop:
				return
			default:
			}
			got := s.census(targets, harness.Quiet)
			for _, target := range targets {
				asked++
				switch hosts := got[target]; {
				case want[target] != silent && len(hosts) == 0:
					unanswered++
				case want[target] == silent && len(hosts) == 0, slices.Equal(hosts, []int{want[target]}):
				default:
					wrong = fmt.Sprintf("%s by %s, want %s", target, s.names(hosts), s.names([]int{want[target]}))
				}
			}
		}
	}()
	func() {
		defer func() {
			close(stop)
			<-ended
		}()
		f()
	}()
	if wrong != "" {
		t.Errorf("%s: %s", what, wrong)
	}
	t.Logf("%s: %d of %d questions not answered in time", what, unanswered, asked)
}

// unallocated returns addresses that no pod has, some of each node's prefix and some of
// the cluster's prefix that no node has.
func (s *site) unallocated() []netip.Addr {
	taken := make(map[netip.Addr]bool)
	for _, p := range s.pods {
		taken[p.addr] = true
	}
	var free []netip.Addr
	for _, prefix := range append(s.prefixes[:], netip.MustParsePrefix("2001:db8:1:0:f::7700/120")) {
		size := 1 << (128 - prefix.Bits())
		for n, i := range rand.Perm(size) {
			b := prefix.Addr().As16()
			b[15] += byte(i)
			a := netip.AddrFrom16(b)
			if n < 20 && i > 0 && i < size-1 && !taken[a] && !s.isOwn(a) {
				free = append(free, a)
			}
		}
	}
	return free
}

// isOwn reports whether an address is one of a host itself.
func (s *site) isOwn(a netip.Addr) bool {
	return slices.ContainsFunc(s.hosts[:], func(h *host) bool { return slices.Contains(h.addresses(), a) })
}

// addresses returns the addresses that the host itself has.
func (h *host) addresses() []netip.Addr {
	h.t.Helper()
	list, err := h.Link.AddrList(nil, 10) // AF_INET6
	harness.Must(h.t, err)
	var all []netip.Addr
	for _, a := range list {
		addr, _ := netip.AddrFromSlice(a.IP)
		all = append(all, addr)
	}
	return all
}
