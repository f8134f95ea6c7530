// SPDX-License-Identifier: Apache-2.0

package k8swatch

import (
	"slices"
	"strings"
)

const (
	// linkLabel stands before the name of a link in a label of the leases of those on it.
	linkLabel = "link.ndproxyd.github.io/"
	// linksLabel says that a lease has a label for each link of its node. Leases of
	// nodes whose links are not known do not have it, nor have those of older versions.
	linksLabel, linksKnown = "ndproxyd.github.io/links", "known"
)

// Links are the links of an announcer, by which others select its lease: those that have
// a name in common may take addresses over from each other, and follow each other's
// leases.
type Links struct {
	// Names are labels, in order, in the syntax of the names of Kubernetes.
	Names []string
	// Unknown is true for a node that may be on any link: it follows all leases, and all
	// follow its lease.
	Unknown bool
	// Early is true for a node that has uplinks, and none with an on-link prefix: it is
	// Unknown, and may be about to hear of one from its router.
	Early bool
}

// equal reports whether two nodes are on the same links.
func (l Links) equal(o Links) bool { return l.Unknown == o.Unknown && slices.Equal(l.Names, o.Names) }

// none reports whether the node has no link.
func (l Links) none() bool { return !l.Unknown && len(l.Names) == 0 }

// selectors returns label selectors for the leases of all who may be on one of the links.
// Kubernetes has no selector for one label or another.
func (l Links) selectors() []string {
	if l.Unknown {
		return []string{announcerLabel}
	}
	all := []string{announcerLabel + "," + linksLabel + "!=" + linksKnown}
	for _, name := range l.Names {
		all = append(all, announcerLabel+","+linkLabel+name)
	}
	return all
}

// mark makes the labels of a lease those of the links.
func (l Links) mark(labels map[string]string) {
	for key := range labels {
		if strings.HasPrefix(key, linkLabel) {
			delete(labels, key)
		}
	}
	if l.Unknown {
		delete(labels, linksLabel)
		return
	}
	labels[linksLabel] = linksKnown
	for _, name := range l.Names {
		labels[linkLabel+name] = ""
	}
}
