// SPDX-License-Identifier: Apache-2.0

package rules

import (
	"fmt"
	"slices"
	"strings"
)

// Need is what a method's sources cannot do without.
type Need uint8

// The needs.
const (
	// OnlyHost is met on every host.
	OnlyHost Need = iota
	// Kubernetes has to be configured.
	Kubernetes
)

// Sources lists every source.
func Sources() []Source {
	all := make([]Source, sourceCount)
	for i := range all {
		all[i] = Source(i)
	}
	return all
}

// String returns the source's name in metrics and in explain.
func (s Source) String() string {
	if s >= sourceCount {
		return fmt.Sprintf("Source(%d)", uint8(s))
	}
	return sources()[s].name
}

// String returns the name that metrics, logs and the documentation use.
func (s Silence) String() string {
	if s >= SilenceCount {
		return fmt.Sprintf("Silence(%d)", uint8(s))
	}
	return silences()[s].name
}

// Text returns the reason in words.
func (s Silence) Text() string {
	if s >= SilenceCount {
		return s.String()
	}
	return silences()[s].text
}

// Methods lists every method, in the order of the documentation.
func Methods() []Method {
	var all []Method
	for m := Static; m < methodEnd; m++ {
		all = append(all, m)
	}
	return all
}

// MethodNames lists the methods' names in the order of the documentation.
func MethodNames() []string {
	var names []string
	for _, m := range Methods() {
		names = append(names, m.String())
	}
	return names
}

// valid reports whether the table has a row for it.
func (m Method) valid() bool { return m > 0 && m < methodEnd }

// String returns the name that configuration files, metrics and logs use.
func (m Method) String() string {
	if !m.valid() {
		return fmt.Sprintf("Method(%d)", uint8(m))
	}
	return methods()[m].name
}

// ParseMethod returns the method of that name. The error lists the known ones.
func ParseMethod(name string) (Method, error) {
	i := slices.Index(MethodNames(), name)
	if i < 0 {
		return 0, fmt.Errorf("method %q is not one of %s", name, joinMethods())
	}
	return Methods()[i], nil
}

func joinMethods() string { return strings.Join(MethodNames(), ", ") }

// Sources lists the sources whose entries the method asks for.
func (m Method) Sources() []Source {
	if !m.valid() {
		return nil
	}
	return methods()[m].sources
}

// Asks reports whether the method asks for the entries of a source.
func (m Method) Asks(s Source) bool { return slices.Contains(m.Sources(), s) }

// Needs returns what has to be there for the method to answer for anything.
func (m Method) Needs() Need {
	if !m.valid() {
		return OnlyHost
	}
	return methods()[m].needs
}

// Clustered reports whether the method's evidence comes from Kubernetes.
func (m Method) Clustered() bool { return m.Needs() == Kubernetes }

// Covers says in Markdown what the method answers for.
func (m Method) Covers() string {
	if !m.valid() {
		return ""
	}
	return methods()[m].covers
}

// AnswerText says in words why a rule with the method answers for an address with
// that verdict, and why not where the verdict is silence.
func (m Method) AnswerText(v Verdict) string {
	switch {
	case v.Learned && v.Host:
		return "the host itself takes packets for the address, and no station of the uplink's link has answered for it"
	case v.Learned:
		return "the address has answered a solicitation of ours"
	case v.Leaving:
		return "another node has the address from now on, and this one answers until that announces it"
	case v.Answer && v.Unconfirmed && m.valid():
		return methods()[m].yes + ", by what was known before the daemon started: it is announced when that is confirmed"
	case v.Answer && v.Host:
		return "this host itself has the address, and the kernel does not answer for it on the uplink"
	case v.Answer && m.valid():
		return methods()[m].yes
	case v.Probe && v.Host:
		return "the host itself takes packets for the address, which a station of the uplink's link may have as well: these are asked first, and the address is answered for when nobody has it"
	case v.Probe && v.Contested:
		return "the prefix is on-link at the uplink and at the device behind this node, so the address is asked for on both first, and answered for when it answers behind this node and nobody on the uplink's link has it"
	case v.Probe:
		return "the address is asked for behind this node first, and answered for when it answers"
	}
	return v.Silence.Text()
}
