// SPDX-License-Identifier: Apache-2.0

package inspect

import (
	"bytes"
	"encoding/json"
	"errors"
	"iter"
	"maps"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/config"
	"github.com/ndproxyd/ndproxyd/internal/discover"
	"github.com/ndproxyd/ndproxyd/internal/status"
	"github.com/ndproxyd/ndproxyd/internal/targets"
	"github.com/ndproxyd/ndproxyd/internal/uplink"
	"github.com/ndproxyd/ndproxyd/pkg/hostwatch"
	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// fakeSystem is a host on which nothing leads behind the node.
type fakeSystem struct {
	targets  []targets.File
	defaults []discover.DefaultDevice
	links    map[string]rules.Link
	host     bool // it does not forward
	policy   []string
	link     *fakeLink // nil for no privilege
	uplinks  []int
}

func (*fakeSystem) LeadsBack(netip.Prefix) bool          { return true }
func (*fakeSystem) LeadsBehind(netip.Prefix) bool        { return false }
func (*fakeSystem) Own([]netip.Prefix) []netip.Prefix    { return nil }
func (*fakeSystem) OnlyOwn(netip.Prefix) bool            { return false }
func (*fakeSystem) DefaultByRA(int) bool                 { return false }
func (s *fakeSystem) Policy() []string                   { return s.policy }
func (s *fakeSystem) Defaults() []discover.DefaultDevice { return s.defaults }
func (s *fakeSystem) Overview(uplinks []discover.Uplink) discover.Overview {
	return discover.Overview{Defaults: s.defaults, Uplinks: uplinks}
}
func (*fakeSystem) Conditions([]rules.Rule) (discover.Conditions, error) {
	return discover.Conditions{}, nil
}
func (s *fakeSystem) Link(name string) (rules.Link, error)     { return s.links[name], nil }
func (s *fakeSystem) Forwards(string) bool                     { return !s.host }
func (*fakeSystem) Way(rules.Link, []rules.Rule) (Way, func()) { return Way{}, func() {} }
func (*fakeSystem) Entries() iter.Seq[rules.Entry]             { return func(func(rules.Entry) bool) {} }
func (*fakeSystem) Device(string) int32                        { return 0 }
func (*fakeSystem) OnLink(int) []netip.Prefix                  { return nil }
func (s *fakeSystem) From(string, uint32) Judge                { return s }
func (s *fakeSystem) SetUplinks(uplinks map[string]int, _ []uint32) {
	s.uplinks = slices.Sorted(maps.Values(uplinks))
}
func (*fakeSystem) State(rules.Link) hostwatch.UplinkState { return hostwatch.UplinkState{} }
func (s *fakeSystem) Targets([]rules.Rule) []targets.File  { return s.targets }
func (*fakeSystem) ProxyMode() string                      { return "" }
func (s *fakeSystem) Open(int) (packetLink, error) {
	if s.link == nil {
		return nil, os.ErrPermission
	}
	return s.link, nil
}

// fakeLink is a link with one other station, which answers for a prefix.
type fakeLink struct {
	answers netip.Prefix
	failure error // of sending
	queue   [][]byte
	asked   []netip.Addr
	closed  bool
}

func (l *fakeLink) Send(frame []byte) error {
	if l.failure != nil {
		return l.failure
	}
	target, _ := netip.AddrFromSlice(frame[62:78]) // RFC 4861 §4.3
	l.asked = append(l.asked, target)
	if l.answers.IsValid() && l.answers.Contains(target) {
		other := ndp.NewInterface(testLink("eth0", 7, "fe80::7/64"), rules.Uplink{})
		b, err := other.Unsolicited(target, false, false)
		if err != nil {
			return err
		}
		l.queue = append(l.queue, []byte("no frame"), b)
	}
	return nil
}

func (l *fakeLink) Receive(b []byte) (int, error) {
	if len(l.queue) == 0 {
		return 0, os.ErrDeadlineExceeded
	}
	n := copy(b, l.queue[0])
	l.queue = l.queue[1:]
	return n, nil
}

func (*fakeLink) SetDeadline(time.Time) error { return nil }

func (l *fakeLink) Close() error {
	l.closed = true
	return nil
}

func testLink(name string, last byte, addresses ...string) rules.Link {
	l := rules.Link{Name: name, Index: 2, MAC: [6]byte{2, 0, 0, 0, 0, last}, Ethernet: true, Up: true, IPv6: true, Forwarding: true}
	for _, a := range addresses {
		l.Addresses = append(l.Addresses, rules.LinkAddress{Prefix: netip.MustParsePrefix(a), Usable: true})
	}
	return l
}

func testState(l rules.Link, _ *ndp.Interface, _ rules.SourcePolicy) (uplink.State, string) {
	if l.Index == 0 {
		return uplink.Absent, "the interface does not exist yet"
	}
	return uplink.Ready, ""
}

func TestInspect(t *testing.T) {
	t.Parallel()
	eth0 := testLink("eth0", 2, "2001:db8:1::2/64", "fe80::2/64")
	ethernet := []discover.DefaultDevice{{Name: "eth0", Ethernet: true}}
	written := &config.Config{
		Uplinks: []rules.Uplink{{Interface: "eth0"}},
		Rules:   []rules.Rule{{Prefix: netip.MustParsePrefix("2001:db8:1:0:f::/112"), Method: rules.Probe, Devices: []string{"br0"}}},
	}
	ndppd, err := config.ParseNDPPD("ndppd.conf", []byte("proxy eth0 {\n}\n"), false)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name    string
		config  *config.Config
		system  fakeSystem
		summary string
		text    []string // parts of it, of which there are none for ""
	}{
		{"discovered", config.Discovery(), fakeSystem{defaults: ethernet, links: map[string]rules.Link{"eth0": eth0}}, "1 uplink, 1 rule, 0 warnings", nil},
		{"configured", written, fakeSystem{links: map[string]rules.Link{"eth0": eth0}}, "1 uplink, 1 rule, 0 warnings", nil},
		{
			"no default route", config.Discovery(), fakeSystem{}, "0 uplinks, 0 rules, 1 warning",
			[]string{"there is no uplink: no interface has an IPv6 default route (warning, no_uplink)", "effect: nothing is answered", `"--interface NAME"`},
		},
		{
			"default route through a tunnel", config.Discovery(), fakeSystem{defaults: []discover.DefaultDevice{{Name: "tun0"}}}, "0 uplinks, 0 rules, 1 warning",
			[]string{"there is no uplink: the IPv6 default route leads through tun0, which is not Ethernet, so nobody sends it solicitations"},
		},
		{
			"no global prefix", config.Discovery(), fakeSystem{defaults: ethernet, links: map[string]rules.Link{"eth0": testLink("eth0", 2, "fe80::2/64")}}, "1 uplink, 0 rules, 1 warning",
			[]string{"eth0: rules cannot be discovered for eth0 because it has no global on-link prefix"},
		},
		{
			"no forwarding", config.Discovery(), fakeSystem{defaults: ethernet, links: map[string]rules.Link{"eth0": eth0}, host: true}, "1 uplink, 0 rules, 1 warning",
			[]string{"eth0: the node does not forward IPv6 packets that arrive on eth0 (warning, forwarding_off)", "nothing is answered on eth0"},
		},
		{
			"uplink that does not exist", &config.Config{Uplinks: []rules.Uplink{{Interface: "eth9"}}, DiscoverRules: true}, fakeSystem{}, "1 uplink, 0 rules, 1 warning",
			[]string{"eth9: the interface does not exist yet (absent)", "there is no rule", "eth9 is absent"},
		},
		{
			"ndppd.conf without rules", ndppd.Config, fakeSystem{links: map[string]rules.Link{"eth0": eth0}}, "1 uplink, 0 rules, 2 warnings",
			[]string{"no proxy section of the ndppd.conf has one that counts", `such as "rule 2001:db8:1::/64 { auto }"`},
		},
		{
			"information", &config.Config{Uplinks: written.Uplinks, Rules: written.Rules}, fakeSystem{links: map[string]rules.Link{"eth0": eth0}, policy: []string{"9: fwmark 0x1 lookup 9"}},
			"1 uplink, 1 rule, 0 warnings, 1 for information", []string{"eth0: policy rules of the kernel are not followed: 9: fwmark 0x1 lookup 9 (info, policy_rules)"},
		},
		{
			"another responder", written, fakeSystem{links: map[string]rules.Link{"eth0": eth0}, link: &fakeLink{answers: netip.MustParsePrefix("2001:db8:1::/64")}},
			"1 uplink, 1 rule, 1 warning", []string{"eth0: 02:00:00:00:00:07 answers for 2001:db8:1:0:f::", "(warning, another_responder)"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := inspect(tt.config, &tt.system, testState, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got.Summary() != tt.summary {
				t.Errorf("summary is %q, want %q", got.Summary(), tt.summary)
			}
			if got.Rules == 0 && len(got.Findings) == 0 {
				t.Error("nothing would be answered, and nothing is found")
			}
			var b bytes.Buffer
			if err := got.WriteText(&b); err != nil {
				t.Fatal(err)
			}
			for _, part := range tt.text {
				if !strings.Contains(b.String(), part) {
					t.Errorf("no %q in:\n%s", part, &b)
				}
			}
			if tt.text == nil && b.Len() > 0 {
				t.Errorf("text is:\n%s", &b)
			}
			if len(tt.system.links) > 0 && !slices.Equal(tt.system.uplinks, []int{2}) {
				t.Errorf("uplinks are %v", tt.system.uplinks)
			}
		})
	}
	if _, err := inspect(&config.Config{Rules: append(written.Rules, written.Rules...)}, &fakeSystem{}, testState, nil); err == nil {
		t.Error("two rules with one prefix are accepted")
	}
}

// TestBesideDaemon knows which way the daemon answers that runs here.
func TestBesideDaemon(t *testing.T) {
	t.Parallel()
	c := &config.Config{
		Uplinks: []rules.Uplink{{Interface: "eth0", FastPath: rules.FastPathXDP}},
		Rules:   []rules.Rule{{Prefix: netip.MustParsePrefix("2001:db8:1:0:f::/80"), Method: rules.Static}},
	}
	system := func() *fakeSystem {
		return &fakeSystem{links: map[string]rules.Link{"eth0": testLink("eth0", 2, "2001:db8:1::2/64", "fe80::2/64")}}
	}
	fellBack := &status.FastPath{Way: "tc", FellBack: true, Why: "veth has no program on its other end"}
	for name, tt := range map[string]struct {
		daemon []status.Uplink
		found  int
	}{
		"no daemon":           {nil, 0},
		"another uplink":      {[]status.Uplink{{Interface: "eth1", FastPath: fellBack}}, 0},
		"nothing answers yet": {[]status.Uplink{{Interface: "eth0"}}, 0},
		"as it was asked for": {[]status.Uplink{{Interface: "eth0", FastPath: &status.FastPath{Way: "xdp"}}}, 0},
		"fallen back":         {[]status.Uplink{{Interface: "eth1"}, {Interface: "eth0", FastPath: fellBack}}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := inspect(c, system(), testState, tt.daemon)
			if err != nil {
				t.Fatal(err)
			}
			found := slices.DeleteFunc(got.Findings, func(f Finding) bool { return f.Reason != reasonFastPath })
			if len(found) != tt.found {
				t.Errorf("found %+v, want %d", found, tt.found)
			}
		})
	}
}

func TestFindResponder(t *testing.T) {
	t.Parallel()
	wide := rules.Rule{Prefix: netip.MustParsePrefix("2001:db8:1::/64"), Method: rules.Route}
	var many []rules.Rule
	for p := range 2 * responderRules {
		a := wide.Prefix.Addr().As16()
		a[7] = byte(p)
		many = append(many, rules.Rule{Prefix: netip.PrefixFrom(netip.AddrFrom16(a), 64), Method: rules.Pods})
	}
	up := testLink("eth0", 2, "2001:db8:1::2/64", "fe80::2/64")
	down, port, mute := up, up, up
	down.Up, port.Master, mute.Addresses = false, "br0", nil
	tests := []struct {
		name    string
		link    rules.Link
		rules   []rules.Rule
		other   fakeLink
		asked   int
		found   bool
		failure bool
	}{
		{name: "nobody answers", link: up, rules: []rules.Rule{wide}, asked: 1},
		{name: "another proxy", link: up, rules: []rules.Rule{wide}, other: fakeLink{answers: wide.Prefix}, asked: 1, found: true},
		{name: "a proxy for one of the rules", link: up, rules: many[:3], other: fakeLink{answers: many[2].Prefix}, asked: 3, found: true},
		{name: "many rules", link: up, rules: many, asked: responderRules},
		{name: "denied", link: up, rules: []rules.Rule{{Prefix: wide.Prefix, Method: rules.Deny}}},
		{name: "a prefix that may be full", link: up, rules: []rules.Rule{{Prefix: netip.MustParsePrefix("2001:db8:1::/121"), Method: rules.Static}}},
		{name: "link is down", link: down, rules: []rules.Rule{wide}},
		{name: "port of a bridge", link: port, rules: []rules.Rule{wide}},
		{name: "no interface", rules: []rules.Rule{wide}},
		{name: "no address to ask from", link: mute, rules: []rules.Rule{wide}},
		{name: "frames cannot be sent", link: up, rules: []rules.Rule{wide}, other: fakeLink{failure: errors.New("queue is full")}, failure: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			opened := false
			found, err := findResponder(Uplink{Config: rules.Uplink{Interface: "eth0"}, Link: tt.link, Rules: tt.rules}, func(int) (packetLink, error) {
				opened = true
				return &tt.other, nil
			})
			if (err != nil) != tt.failure {
				t.Fatal(err)
			}
			if len(tt.other.asked) != tt.asked || (len(found) == 1) != tt.found || opened != tt.other.closed {
				t.Errorf("asked for %s, found %+v, opened %t, closed %t", tt.other.asked, found, opened, tt.other.closed)
			}
		})
	}
	if found, err := findResponder(Uplink{Link: up, Rules: []rules.Rule{wide}}, (&fakeSystem{}).Open); err != nil || found != nil {
		t.Errorf("without a privilege: %v, %v", found, err)
	}
}

// TestKeys holds the names that scripts read.
func TestKeys(t *testing.T) {
	t.Parallel()
	b, err := json.Marshal(Inspection{Uplinks: []UplinkInspection{{Interface: "eth0", State: "ready"}}, Findings: []Finding{{Interface: "eth0", Reason: reasonPort, Severity: Warning, Problem: "p", Effect: "e", Remedy: "r"}}})
	if err != nil {
		t.Fatal(err)
	}
	const want = `{"uplinks":[{"interface":"eth0","state":"ready"}],"rules":0,"findings":[{"interface":"eth0","reason":"bridge_port","severity":"warning","problem":"p","effect":"e","remedy":"r"}]}`
	if string(b) != want {
		t.Errorf("got  %s\nwant %s", b, want)
	}
}
