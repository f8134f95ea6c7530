// SPDX-License-Identifier: Apache-2.0

package config

import (
	"slices"
	"strings"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// The keys of ndppd.conf by level.
func ndppdTop() []string { return []string{"route-ttl", "address-ttl", "proxy"} }

func ndppdProxy() []string {
	return []string{"router", "timeout", "ttl", "deadtime", "retries", "keepalive", "autowire", "promiscuous", "rule"}
}

func ndppdRule() []string { return []string{"static", "auto", "iface", "autovia"} }

// NDPPD is an ndppd.conf that was read.
type NDPPD struct {
	// Config is what it comes to here.
	Config *Config
	// Warnings tell what is odd, and what is done otherwise.
	Warnings []string

	reader *ndppdReader
}

// ndppdReader gives the entries of a file their meaning.
type ndppdReader struct {
	*ndppdScanner
	entries []*ndppdEntry
	proxies []*ndppdProxySection
}

// ndppdProxySection is a proxy section, and where it stands.
type ndppdProxySection struct {
	entry  *ndppdEntry
	uplink rules.Uplink
	timing rules.Timing
	wire   bool
	// wiredAt is where that stands.
	wiredAt *ndppdEntry
	rules   []*ndppdRuleSection
}

// ndppdRuleSection is a rule section. A dropped one stays for its comments.
type ndppdRuleSection struct {
	entry *ndppdEntry
	rule  rules.Rule
	drop  bool
}

// ParseNDPPD reads an ndppd.conf with the grammar of ndppd 0.2 and the meaning
// that its manual intends. Text that ndppd ignores without effect is a warning. Text that
// ndppd reads differently from what it appears to say is an error, and with lenient a
// warning; then it is read as ndppd does. A file that ndppd refuses, or hangs at, is an
// error in any case.
func ParseNDPPD(file string, data []byte, lenient bool) (*NDPPD, error) {
	r := &ndppdReader{ndppdScanner: newNDPPDScanner(file, string(data), lenient)}
	r.entries = r.parse()
	if !r.failed {
		r.top()
	}
	if err := r.diagnostics.errors(); err != nil {
		return nil, err
	}
	return &NDPPD{Config: r.config(), Warnings: r.diagnostics.warnings(), reader: r}, nil
}

// known reports whether an entry's key belongs to a level, and records what is odd
// about it otherwise: as a warning where an option is ignored, and as a misreading where a
// section, or the rest of a line, is lost with it.
func (r *ndppdReader) known(e *ndppdEntry, level []string) bool {
	if slices.Contains(level, e.key) {
		return true
	}
	all := slices.Concat(ndppdTop(), ndppdProxy(), ndppdRule())
	record := r.diagnostics.warn
	if len(e.block) > 0 || e.key == "proxy" || e.key == "rule" || r.trailing(e) {
		record = r.diagnostics.misread
	}
	switch {
	case e.key == "" && e.quoted && e.rest: // recorded where the quote stands
	case e.key == "" && e.value == "" && e.hasBlock:
		record(e.start, quirkNextLine, "this block belongs to nothing, and ndppd ignores it: put the brace on the line of its key")
	case e.key == "" && strings.Trim(e.value, ";,") == "":
		record(e.start, quirkSemicolon, "ndppd has no separators, and ignores %q: remove it", e.value)
	case e.key == "":
		record(e.start, quirkUnknown, "%q is no key, and ndppd ignores it", e.value)
	case slices.Contains(all, e.key):
		record(e.start, quirkLevel, "%q does not belong here, and ndppd ignores it%s", e.key, levelOf(e.key))
	default:
		record(e.start, quirkUnknown, "ndppd ignores the key %q%s", e.key, didYouMean(e.key, level))
	}
	return false
}

// levelOf says where a known key belongs.
func levelOf(key string) string {
	switch {
	case slices.Contains(ndppdTop(), key):
		return ": it belongs outside of all sections"
	case slices.Contains(ndppdProxy(), key):
		return ": it belongs into a proxy section"
	}
	return ": it belongs into a rule section"
}

// trailing reports whether an entry is a word behind another value, such as the second
// device of "iface br0 br1". A semicolon is not one.
func (r *ndppdReader) trailing(e *ndppdEntry) bool {
	if e.key == "" {
		return false
	}
	before := strings.TrimRight(r.text[:e.start], " \t\r\f\v")
	return before != "" && !strings.ContainsRune("\n{};,", rune(before[len(before)-1])) && !strings.HasSuffix(before, "*/")
}

// scalars returns the first entry of each key of a level but those that may be
// repeated, and records the others as doubled.
func (r *ndppdReader) scalars(entries []*ndppdEntry, level []string, repeated string) map[string]*ndppdEntry {
	first := make(map[string]*ndppdEntry)
	for _, e := range entries {
		if !r.known(e, level) || e.key == repeated {
			continue
		}
		record := r.diagnostics.warn
		if other := first[e.key]; other != nil {
			if e.value != other.value {
				record = r.diagnostics.misread
			}
			line, _ := r.place(other.start)
			record(e.start, quirkTwice, "%q is already on line %d, which counts", e.key, line)
			continue
		}
		first[e.key] = e
		if e.hasBlock {
			if len(e.block) > 0 {
				record = r.diagnostics.misread
			}
			record(e.start, quirkLevel, "%q takes no block", e.key)
		}
	}
	return first
}

func (r *ndppdReader) top() {
	scalars := r.scalars(r.entries, ndppdTop(), "proxy")
	for _, key := range []string{"route-ttl", "address-ttl"} {
		if e := scalars[key]; e != nil {
			r.diagnostics.moot(func() { r.integer(e) })
			r.diagnostics.warn(e.start, deviation, "%s has no effect: the kernel tells of every change", key)
		}
	}
	for _, e := range r.entries {
		if e.key == "proxy" {
			r.proxy(e)
		}
	}
	r.resolveOverlaps()
}

func (r *ndppdReader) proxy(e *ndppdEntry) {
	if e.value == "" {
		r.diagnostics.fail(e.start, quirkMissing, "the proxy names no interface")
		return
	}
	switch err := CheckInterface(e.value); {
	case e.value == loopback: // ndppd listens there in vain
		r.diagnostics.misread(e.valueAt, quirkDevice, "%v", err)
		return
	case err != nil:
		r.diagnostics.fail(e.valueAt, quirkDevice, "%v", err)
	}
	p := &ndppdProxySection{entry: e, uplink: rules.Uplink{Interface: r.name(e), Router: rules.RouterTrue}}
	r.proxies = append(r.proxies, p)
	scalars := r.scalars(e.block, ndppdProxy(), "rule")
	r.settings(p, scalars)
	for _, c := range e.block {
		if c.key == "rule" {
			r.rule(p, c)
		}
	}
	if p.wire && slices.ContainsFunc(p.rules, func(s *ndppdRuleSection) bool { return s.rule.Method == rules.Route }) {
		r.diagnostics.warn(p.wiredAt.start, deviation, "autowire has no effect on auto: the kernel has a route already")
	}
}

// settings reads what a proxy section says beside its rules.
func (r *ndppdReader) settings(p *ndppdProxySection, scalars map[string]*ndppdEntry) {
	for _, key := range ndppdProxy() {
		e := scalars[key]
		if e == nil {
			continue
		}
		switch key {
		case "router":
			if !r.boolean(e) {
				p.uplink.Router = rules.RouterFalse
			}
		case "timeout":
			p.timing.Timeout = r.time(e, rules.MinTimeout, rules.MaxTimeout)
		case "ttl":
			p.timing.TTL = r.time(e, rules.MinTTL, rules.MaxTTL)
		case "deadtime":
			if p.timing.Deadtime = r.time(e, 0, rules.MaxDeadtime); p.timing.Deadtime == 0 && e.value == "0" {
				p.timing.Deadtime = rules.NoDeadtime
			}
		case "retries":
			n := r.integer(e)
			if n <= 0 {
				n = -1
			}
			if p.timing.Retries = min(n, rules.MaxRetries); n > rules.MaxRetries {
				r.diagnostics.warn(e.start, deviation, "retries are %d here instead of %d", rules.MaxRetries, n)
			}
		case "keepalive":
			if !r.mootBoolean(e) {
				r.diagnostics.warn(e.start, deviation, "keepalive has no effect: an address that answers is always asked again in time")
			}
		case "promiscuous":
			if r.mootBoolean(e) {
				r.diagnostics.warn(e.start, deviation, "promiscuous has no effect: all multicast frames, and those to our MAC address, arrive without it")
			}
		case "autowire":
			p.wire = r.boolean(e)
			p.wiredAt = e
		}
	}
}

func (r *ndppdReader) rule(p *ndppdProxySection, e *ndppdEntry) {
	s := &ndppdRuleSection{entry: e}
	p.rules = append(p.rules, s)
	if e.value == "" {
		r.diagnostics.fail(e.start, quirkMissing, "the rule has neither an address nor a prefix")
		s.drop = true
		return
	}
	prefix, ok := r.prefix(e)
	s.drop = !ok
	s.rule = rules.Rule{Prefix: prefix, Uplinks: []string{p.uplink.Interface}}
	r.method(p, s, r.scalars(e.block, ndppdRule(), ""))
}

// method reads how a rule finds out whether to answer.
func (r *ndppdReader) method(p *ndppdProxySection, s *ndppdRuleSection, scalars map[string]*ndppdEntry) {
	static, auto, iface := scalars["static"], scalars["auto"], scalars["iface"]
	for _, flag := range []*ndppdEntry{static, auto} {
		switch {
		case flag == nil || flag.value == "":
		case strings.Trim(flag.value, ";,") == "":
			r.diagnostics.warn(flag.valueAt, quirkSemicolon, "ndppd has no separators, and ignores %q: remove it", flag.value)
		case isOn(strings.TrimSuffix(flag.value, ";")):
			r.diagnostics.warn(flag.valueAt, quirkFlag, "%q takes no value, and ndppd ignores %q", flag.key, flag.value)
		default:
			r.diagnostics.misread(flag.valueAt, quirkFlag, "%q is read as the value of %q, and has no effect", flag.value, flag.key)
		}
	}
	count := 0
	for _, m := range []*ndppdEntry{static, auto, iface} {
		if m != nil {
			count++
		}
	}
	switch {
	case count == 0:
		r.diagnostics.fail(s.entry.start, quirkMethods, "the rule has no method: write static, auto or iface NAME into its block")
	case count > 1:
		r.diagnostics.fail(s.entry.start, quirkMethods, "the rule has more than one of static, auto and iface")
	case static != nil:
		s.rule.Method = rules.Static
		if s.rule.Prefix.IsValid() && s.rule.Prefix.Bits() <= 120 {
			r.diagnostics.warn(s.entry.start, deviation, "static answers for every address of %s, whether it is there or not: auto answers for those that are", s.rule.Prefix)
		}
	case auto != nil:
		s.rule.Method = rules.Route
		r.diagnostics.warn(auto.start, deviation, "auto answers for every address that the kernel routes to a device behind this node, at once; ndppd answers for the first of a route only, or never")
	default:
		r.iface(p, s, iface)
	}
	if e := scalars["autovia"]; e != nil {
		if r.mootBoolean(e) {
			r.diagnostics.warn(e.start, deviation, "autovia has no effect: routes go to the device")
		}
	}
}

func (r *ndppdReader) iface(p *ndppdProxySection, s *ndppdRuleSection, e *ndppdEntry) {
	name := r.name(e)
	s.rule.Method, s.rule.Devices, s.rule.Timing = rules.Probe, []string{name}, p.timing
	s.rule.Autowire = p.wire
	switch err := CheckInterface(name); {
	case name == "":
		r.diagnostics.fail(e.start, quirkMissing, "iface names no interface")
	case name == loopback:
		r.diagnostics.misread(e.valueAt, quirkDevice, "nobody can be asked on %q: write auto in place of iface, which answers for what the host itself has", name)
		s.drop = true
	case err != nil:
		r.diagnostics.misread(e.valueAt, quirkDevice, "%v", err)
		s.drop = true
	case name == p.uplink.Interface:
		r.diagnostics.misread(e.valueAt, quirkDevice, "%s is the proxy's own interface: its stations answer for themselves, and answering for them would cut them off", name)
		s.drop = true
	case isTunnel(name):
		r.diagnostics.warn(e.start, deviation, "%s looks like a tunnel, where nobody can be asked: what the kernel routes to it is answered for, as with auto; ndppd sends it Ethernet frames", name)
	}
}

// isTunnel reports whether a name is one that devices without neighbor discovery
// usually have: one of these words and a number.
func isTunnel(name string) bool {
	word := strings.TrimRight(name, "0123456789")
	return word != name && slices.Contains([]string{"tun", "wg", "ppp", "sit", "gre", "ip6gre", "ip6tnl", "ipip", "vti", "ip6_vti", "xfrm"}, word)
}

// config puts the sections together.
func (r *ndppdReader) config() *Config {
	c := &Config{Metrics: Endpoint{Listen: DefaultMetricsListen}, ndppd: true}
	for _, p := range r.proxies {
		if !slices.ContainsFunc(c.Uplinks, func(u rules.Uplink) bool { return u.Interface == p.uplink.Interface }) {
			c.Uplinks = append(c.Uplinks, p.uplink)
		}
		for _, s := range p.rules {
			if !s.drop {
				c.Rules = append(c.Rules, s.rule)
			}
		}
	}
	return c
}
