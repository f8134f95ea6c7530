// SPDX-License-Identifier: Apache-2.0

package config

import (
	"errors"
	"fmt"
	"strings"

	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// FromFlags builds a configuration from the flags of a quick start: names of
// interfaces, and rules in the form PREFIX=METHOD. What is left out is found as
// by [Discovery]. All faults come at once.
func FromFlags(interfaces, ruleFlags []string) (*Config, error) {
	c := &Config{Metrics: Endpoint{Listen: DefaultMetricsListen}, DiscoverRules: len(ruleFlags) == 0}
	var errs []error
	for _, name := range interfaces {
		if err := CheckInterface(name); err != nil {
			errs = append(errs, fmt.Errorf("--interface: %s", Shorten(err.Error())))
		}
		for _, u := range c.Uplinks {
			if u.Interface == name {
				errs = append(errs, fmt.Errorf("--interface: %q is given twice", name))
			}
		}
		c.Uplinks = append(c.Uplinks, rules.Uplink{Interface: name})
	}
	for _, s := range ruleFlags {
		r, err := parseRule(s)
		if err != nil {
			errs = append(errs, fmt.Errorf("--rule %q: %s", Shorten(s), Shorten(err.Error())))
			continue
		}
		for _, other := range c.Rules {
			if other.Prefix == r.Prefix && other.Template == r.Template {
				errs = append(errs, fmt.Errorf("--rule %q: %s is given twice", s, prefix(r)))
			}
		}
		c.Rules = append(c.Rules, r)
	}
	return c, errors.Join(errs...)
}

func parseRule(s string) (rules.Rule, error) {
	prefix, method, ok := strings.Cut(s, "=")
	if !ok {
		return rules.Rule{}, fmt.Errorf("want PREFIX=METHOD, like 2001:db8:1::/80=static")
	}
	var r rules.Rule
	if err := parsePrefix(prefix, &r); err != nil {
		return rules.Rule{}, err
	}
	var err error
	if r.Method, err = rules.ParseMethod(method); err != nil {
		return rules.Rule{}, fmt.Errorf("%w%s", err, didYouMean(method, rules.MethodNames()))
	}
	if r.Method == rules.File {
		return rules.Rule{}, fmt.Errorf("the method %s needs a file of targets: write the rule into the configuration, with the key \"targets\"", r.Method)
	}
	return r, nil
}
