// SPDX-License-Identifier: Apache-2.0

package k8swatch

import (
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// What KubeVirt writes to the pods of a virtual machine. During a live migration there
// are two pods on two nodes, which may have one address.
const (
	// machineNode is a label with the node that the machine runs on. A pod may have it
	// from the start, with the node that the machine comes from, and gets the other one
	// when the migration has ended.
	machineNode = "kubevirt.io/nodeName"
	// migrationJob is a label of pods that were made for a machine to come.
	migrationJob = "kubevirt.io/migrationJobUID"
	// machineReady is an annotation with the time at which the machine began to run
	// here, and machineStart is its name in older versions.
	machineReady = "kubevirt.io/migration-target-ready-timestamp"
	machineStart = "kubevirt.io/migration-target-start-timestamp"
)

// machine is what a pod says of the virtual machine in it. A pod without one has the
// zero machine.
type machine struct {
	// Node is the one that the machine runs on, "" where nobody says.
	Node string `json:"node,omitempty"`
	// Target is true for a pod that was made for a machine to come, and Came when that
	// has begun to run here.
	Target bool `json:"target,omitempty"`
	Came   bool `json:"came,omitempty"`
}

// readMachine returns what a pod says of its virtual machine.
func readMachine(p *corev1.Pod) machine {
	m := machine{Node: p.Labels[machineNode]}
	if _, m.Target = p.Labels[migrationJob]; m.Target {
		m.Came = cameAfter(p.Annotations[machineReady], p.CreationTimestamp.Time) || cameAfter(p.Annotations[machineStart], p.CreationTimestamp.Time)
	}
	return m
}

// cameAfter reports whether an annotation has a time after a pod was made. A machine that
// migrates again takes its annotations along, with the time of the migration before.
func cameAfter(annotation string, made time.Time) bool {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02 15:04:05.999999999 -0700 MST"} {
		word, _, _ := strings.Cut(annotation, " m=") // the monotonic clock of Go's time.Time.String
		if at, err := time.Parse(layout, word); err == nil {
			return !at.Before(made)
		}
	}
	return false
}

// absent says why a pod's machine does not run on this node, "" where it does. ran is
// true when the pod has said before that it does: then it has left when another node is
// named, and else it may have come before KubeVirt says so.
func (m machine) absent(node string, ran bool) string {
	switch {
	case m.Node == node, m.Node == "" && !m.Target, m.Came && !ran:
		return ""
	case m.Target && !ran:
		return "its virtual machine has not arrived yet"
	}
	return "its virtual machine runs on " + m.Node
}
