// SPDX-License-Identifier: Apache-2.0

package config

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// loopback is the one name that is known to be no uplink on every host.
const loopback = "lo"

// maxLimit is the largest limit of answers a second, beyond any link.
const maxLimit = 10_000_000

func (f *fileReader) uplinks(v value) {
	f.hasUplinks = true
	before := len(v.errors)
	v.list(func(v value) {
		var u rules.Uplink
		named := false
		var reannounce, fastPath value
		v.mapping(
			field{"interface", func(v value) {
				named = true
				if s, ok := v.text(); ok {
					u.Interface = s
					if err := CheckInterface(s); err != nil {
						v.fail("%v", err)
					}
					f.interfaces = append(f.interfaces, v)
				}
			}},
			field{"source", func(v value) { readName(v, &u.Source, rules.SourcePolicyNames()) }},
			field{"membership", func(v value) { readName(v, &u.Membership, rules.MembershipModeNames()) }},
			field{"router", func(v value) { readName(v, &u.Router, rules.RouterFlagNames()) }},
			field{"gratuitous", func(v value) { readName(v, &u.Gratuitous, rules.GratuitousModeNames()) }},
			field{"reannounce", func(v value) {
				reannounce = v
				if v.duration(&u.Reannounce); u.Reannounce != 0 && (u.Reannounce < rules.MinReannounce || u.Reannounce > rules.MaxReannounce) {
					v.fail("%s is outside %s to %s, and not 0s, which turns it off", u.Reannounce, rules.MinReannounce, rules.MaxReannounce)
				}
			}},
			field{"prime", func(v value) { readName(v, &u.Prime, rules.PrimeModeNames()) }},
			field{"consume_unicast", func(v value) { v.boolean(&u.ConsumeUnicast) }},
			field{"drop_loops", func(v value) { v.boolean(&u.DropLoops) }},
			field{"socket", func(v value) {
				switch s, ok := v.text(); {
				case !ok:
				case s == "early":
					u.Early = true
				case s != "normal":
					v.fail("%q is not one of normal, early%s", s, didYouMean(s, []string{"normal", "early"}))
				}
			}},
			field{"fast_path", func(v value) {
				fastPath = v
				readFastPath(v, &u.FastPath)
			}},
			field{"fast_path_hold", func(v value) {
				before := len(v.errors)
				v.atLeast(&u.FastPathHold, rules.MinFastPathHold, rules.MaxFastPathHold)
				if d := u.FastPathHold; len(v.errors) == before && (d < rules.MinFastPathHold || d > rules.MaxFastPathHold) {
					v.fail("%s is outside %s to %s", d, rules.MinFastPathHold, rules.MaxFastPathHold)
				}
			}},
			field{"require_onlink_source", func(v value) { v.boolean(&u.RequireOnLinkSource) }},
			field{"ignore_sources", func(v value) {
				v.list(func(v value) {
					s, ok := v.text()
					if !ok {
						return
					}
					a, err := rules.ParseAsker(s)
					if err != nil {
						v.fail("%v", err)
					}
					u.IgnoreSources = append(u.IgnoreSources, a)
				})
			}},
			field{"limit_per_asker", func(v value) {
				s, ok := v.text()
				if !ok {
					return
				}
				n, err := strconv.Atoi(s)
				if err != nil || n < 0 || n > maxLimit {
					v.fail("%q is not a number of answers a second, 0 (no limit) to %d", s, maxLimit)
				}
				u.LimitPerAsker = n
			}},
		)
		if !named {
			v.fail(`the key "interface" is missing`)
		}
		if u.Reannounce != 0 && u.Gratuitous == rules.GratuitousNone {
			reannounce.fail(`"gratuitous: none" announces nothing: remove one of the two keys`)
		}
		if u.Early && u.FastPath == rules.FastPathTC {
			fastPath.fail(`"socket: early" hears solicitations before the program at tc, so both would answer: remove one of the two keys, or use fast_path: xdp`)
		}
		f.config.Uplinks = append(f.config.Uplinks, u)
	})
	if len(f.config.Uplinks) == 0 && len(v.errors) == before {
		v.fail("the list is empty: name the interface that faces the router, or leave the key out for those with a default route")
	}
}

// CheckInterface checks the name of an uplink's interface.
func CheckInterface(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("the name of an interface is missing")
	case len(name) > 15: // IFNAMSIZ - 1
		return fmt.Errorf("%q is longer than the 15 octets of an interface name", name)
	case name == "." || name == ".." || strings.ContainsAny(name, "/: ") || !utf8.ValidString(name) ||
		strings.ContainsFunc(name, func(c rune) bool { return !unicode.IsPrint(c) }):
		return fmt.Errorf("%q is not the name of an interface", name)
	case name == loopback:
		return fmt.Errorf("%q is the loopback interface, where no router asks: name the interface that faces the router", name)
	}
	return nil
}

// readName reads the name of an enumerated value.
func readName[T ~uint8](v value, into *T, names []string) {
	s, ok := v.text()
	if !ok {
		return
	}
	parsed, err := rules.ParseName[T](s, names)
	if err != nil {
		v.fail("%v%s", err, didYouMean(s, names))
		return
	}
	*into = parsed
}

func (f *fileReader) rules(v value) {
	f.hasRules = true
	v.list(func(v value) {
		var (
			r       rules.Rule
			place   value
			uplinks []value
			before  = len(v.errors)
		)
		hasMethod := false
		v.mapping(
			field{"prefix", func(v value) {
				place = v
				s, ok := v.text()
				if !ok {
					return
				}
				if err := parsePrefix(s, &r); err != nil {
					v.fail("%v", err)
				}
			}},
			field{"method", func(v value) {
				hasMethod = true
				s, ok := v.text()
				if !ok {
					return
				}
				var err error
				if r.Method, err = rules.ParseMethod(s); err != nil {
					v.fail("%v%s", err, didYouMean(s, rules.MethodNames()))
				}
			}},
			field{"uplinks", func(v value) {
				v.list(func(v value) {
					if s, ok := v.text(); ok {
						r.Uplinks = append(r.Uplinks, s)
						uplinks = append(uplinks, v)
					}
				})
				if v.node.Kind == yaml.SequenceNode && len(v.node.Content) == 0 {
					v.fail("the list is empty: leave the key out for all uplinks")
				}
			}},
			field{"devices", func(v value) {
				v.list(func(v value) {
					s, ok := v.text()
					if !ok {
						return
					}
					if err := CheckInterface(s); err != nil && s != loopback { // where AnyIP is
						v.fail("%v", err)
					}
					r.Devices = append(r.Devices, s)
				})
			}},
			field{"kinds", func(v value) {
				readKinds(v, &r.Kinds)
			}},
			field{"own_addresses", func(v value) {
				own := true
				v.boolean(&own)
				r.IgnoreOwn = !own
			}},
			field{"table", func(v value) { readTable(v, &r.Table) }},
			field{"targets", func(v value) {
				s, ok := v.text()
				if !ok {
					return
				}
				if err := rules.CheckTargets(s); err != nil {
					v.fail("%v", err)
				}
				r.Targets = filepath.Clean(s) // one name for each file
			}},
			field{"autowire", func(v value) { v.boolean(&r.Autowire) }},
			field{"timeout", func(v value) { v.atLeast(&r.Timing.Timeout, rules.MinTimeout, rules.MaxTimeout) }},
			field{"ttl", func(v value) { v.atLeast(&r.Timing.TTL, rules.MinTTL, rules.MaxTTL) }},
			field{"deadtime", func(v value) {
				if v.duration(&r.Timing.Deadtime); r.Timing.Deadtime == 0 && len(v.errors) == before {
					r.Timing.Deadtime = rules.NoDeadtime
				}
			}},
			field{"retries", func(v value) { readRetries(v, &r.Timing.Retries) }},
			field{"delay", func(v value) {
				v.duration(&r.Delay)
				if r.Delay < 0 || r.Delay > rules.MaxDelay {
					v.fail("%s is outside 0s to %s (MAX_ANYCAST_DELAY_TIME, RFC 4861 §10)", r.Delay, rules.MaxDelay)
				}
			}},
			field{"while", func(v value) { readWhile(v, &r.While) }},
			field{"dad", func(v value) {
				switch s, ok := v.text(); {
				case !ok:
				case s == "ignore":
					r.DAD = rules.DADIgnore
				case s == "defend":
					r.DAD = rules.DADDefend
				default:
					v.fail("%q is not one of defend, ignore%s", s, didYouMean(s, []string{"defend", "ignore"}))
				}
			}},
		)
		if place.node == nil && len(v.errors) == before {
			v.fail(`the key "prefix" is missing`)
		}
		if !hasMethod && len(v.errors) == before {
			v.fail(`the key "method" is missing: one of %s`, strings.Join(rules.MethodNames(), ", "))
		}
		if len(v.errors) == before {
			if err := r.Validate(); err != nil {
				v.fail("%v", err)
			}
			if r.Kinds != 0 && r.Method != rules.Services {
				v.fail("kinds go with the method %s only", rules.Services)
			}
		}
		f.ruleUplinks = append(f.ruleUplinks, uplinks)
		if len(v.errors) == before {
			f.config.Rules = append(f.config.Rules, r)
			f.rulePlaces = append(f.rulePlaces, place)
		}
	})
}

// readKinds reads which service addresses a rule answers for.
func readKinds(v value, into *rules.ServiceKinds) {
	v.list(func(v value) {
		word, ok := v.text()
		if !ok {
			return
		}
		kind, err := rules.ParseServiceKind(word)
		if err != nil {
			v.fail("%v%s", err, didYouMean(word, rules.ServiceKindNames()))
		}
		*into |= kind
	})
	if v.node.Kind == yaml.SequenceNode && len(v.node.Content) == 0 {
		v.fail("the list is empty: leave the key out for the default")
	}
}

// readRetries reads how often to ask again; 0 is kept apart from the default.
func readRetries(v value, into *int) {
	s, ok := v.text()
	if !ok {
		return
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 || n > rules.MaxRetries {
		v.fail("%q is not a number of retries, 0 to %d", s, rules.MaxRetries)
		return
	}
	if *into = n; n == 0 {
		*into = -1
	}
}
