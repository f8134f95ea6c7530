// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// MaxDelay is the longest random delay that a rule may ask for:
// MAX_ANYCAST_DELAY_TIME, RFC 4861 §10.
const MaxDelay = time.Second

// Rule permits answers for the targets in a prefix, on the evidence that its method
// asks for. The most specific rule for a target decides.
type Rule struct {
	// Prefix is a valid, masked IPv6 prefix.
	Prefix netip.Prefix
	// Template is what the configuration has in place of a prefix, zero where it has
	// one. A rule of the configuration that has a template has no Prefix; package
	// discover makes rules of it that have both.
	Template Template
	// Method is the evidence to ask for.
	Method Method
	// Uplinks names the interfaces that the rule holds on; empty means all.
	Uplinks []string
	// Delay is the upper bound of the random delay before a multicast
	// solicitation is answered, 0 to MaxDelay. It is for prefixes that more
	// than one proxy answers for (RFC 4861 §7.2.8).
	Delay time.Duration
	// Devices are the only ones that count. A Route rule answers for what the kernel
	// routes to these, whatever their class; empty means to those behind us. A Probe
	// rule solicits its targets there, whatever the routes say; empty means where the
	// route leads. A device that does not exist has no targets. One without neighbor
	// discovery cannot be asked, so what the kernel routes to it is answered for.
	Devices []string
	// Targets is the file that a File rule takes its targets from: an absolute path.
	Targets string
	// Timing is that of a Probe rule.
	Timing Timing
	// Autowire keeps a host route to the device where a target of a Probe rule
	// with Devices has answered, for as long as it answers.
	Autowire bool
	// DAD chooses whether other stations can take an address of the prefix as
	// their own.
	DAD DADPolicy
	// IgnoreOwn does not take it for evidence that the host itself has an address
	// ([Entry.Host]).
	IgnoreOwn bool
	// Table is the number of the kernel's routing table that a Route or Probe rule
	// asks, without the policy rules; 0 means those that the kernel asks for packets
	// from the uplink.
	Table uint32
	// While are the conditions under which the rule holds.
	While While
	// Waiting is true while they are not met. The rule then answers for nothing, and no
	// wider rule takes its place.
	Waiting bool
	// OwnOnly takes nothing for evidence but that the host itself has an address. It
	// is for discovered rules of an uplink from which the host does not forward.
	OwnOnly bool
	// Kinds are the service addresses that a Services rule answers for; 0 means all. A
	// discovered Pods rule with Kinds answers for such service addresses, too.
	Kinds ServiceKinds
	// KindsByRange is true where Kinds are the default, which has the cluster IPs of a
	// prefix that lies inside of what the cluster allocates them from.
	KindsByRange bool
}

// String returns the rule in the form that the command line takes.
func (r Rule) String() string {
	if !r.Prefix.IsValid() && !r.Template.IsZero() {
		return r.Template.String() + "=" + r.Method.String()
	}
	return r.Prefix.String() + "=" + r.Method.String()
}

// Covers reports whether the rule holds on the uplink of that name.
func (r Rule) Covers(uplink string) bool {
	return len(r.Uplinks) == 0 || slices.Contains(r.Uplinks, uplink)
}

// Validate checks the fields that do not depend on other rules.
func (r Rule) Validate() error {
	var errs []error
	if err := CheckPrefix(r.Prefix); err != nil && (r.Prefix.IsValid() || r.Template.IsZero()) {
		errs = append(errs, err)
	}
	if !r.Method.valid() {
		errs = append(errs, fmt.Errorf("method is not one of %s", joinMethods()))
	}
	if len(r.Devices) > 0 && r.Method != Probe && r.Method != Route {
		errs = append(errs, fmt.Errorf("devices go with the methods %s and %s only", Route, Probe))
	}
	if r.Autowire && r.Method != Probe {
		errs = append(errs, fmt.Errorf("autowire goes with the method %s only: it makes routes to targets that have answered", Probe))
	}
	if r.IgnoreOwn && r.Method != Probe && r.Method != Route {
		errs = append(errs, fmt.Errorf("own_addresses goes with the methods %s and %s only", Route, Probe))
	}
	if r.Table != 0 && r.Method != Probe && r.Method != Route {
		errs = append(errs, fmt.Errorf("table goes with the methods %s and %s only", Route, Probe))
	}
	if r.Autowire && len(r.Devices) == 0 {
		errs = append(errs, errors.New("autowire goes with devices only: elsewhere the kernel has a route already"))
	}
	if err := r.validateTargets(); err != nil {
		errs = append(errs, err)
	}
	switch {
	case r.While.IsZero():
	case r.Method == Deny:
		errs = append(errs, fmt.Errorf("while goes with a method that answers: a rule with the method %s never does", Deny))
	case r.Method == Services:
		errs = append(errs, fmt.Errorf("while does not go with the method %s: the nodes agree on who answers, and a node that waits would keep its addresses", Services))
	}
	if err := r.Timing.validate(); err != nil {
		errs = append(errs, err)
	}
	if r.Delay < 0 || r.Delay > MaxDelay {
		errs = append(errs, fmt.Errorf("delay %s is outside 0s to %s (MAX_ANYCAST_DELAY_TIME, RFC 4861 §10)", r.Delay, MaxDelay))
	}
	return errors.Join(errs...)
}

// validateTargets checks that a File rule, and no other, names a file.
func (r Rule) validateTargets() error {
	switch {
	case r.Method == File && r.Targets == "":
		return fmt.Errorf("the method %s needs targets: the path of a file that lists them", File)
	case r.Targets == "":
		return nil
	case r.Method != File:
		return fmt.Errorf("targets go with the method %s only", File)
	}
	return CheckTargets(r.Targets)
}

// CheckTargets reports why a text cannot be the path of a file of targets.
func CheckTargets(path string) error {
	if !filepath.IsAbs(path) || strings.ContainsRune(path, 0) {
		return fmt.Errorf("%q is not an absolute path (example: \"/etc/ndproxyd/targets\")", path)
	}
	return nil
}
