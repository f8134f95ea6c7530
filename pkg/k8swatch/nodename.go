// SPDX-License-Identifier: Apache-2.0

package k8swatch

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const (
	// namesAtOnce is how many Nodes a request for their names asks for, and namePages
	// how many such requests there are: more names are not looked at.
	namesAtOnce, namePages = 500, 20
	// maxAlike bounds the names that are suggested.
	maxAlike = 5
	// namesAgain is how soon a list of names that failed is tried again.
	namesAgain = 5 * time.Second
)

// nodeAccount finds the node whose kubelet has an account, in an error of the API server.
var nodeAccount = regexp.MustCompile(`User "system:node:([^"]+)"`)

// nodeAbsent reports whether the cluster has no Node of this node's name, as far as it
// has been asked. other is the name that the account belongs to, "" where that is not
// known: a kubelet's account may read no other Node.
func (w *Watcher) nodeAbsent() (absent bool, other string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.node.health.get()
	if m := nodeAccount.FindStringSubmatch(s.Fault); s.Forbidden && m != nil && m[1] != w.config.Node {
		return true, m[1]
	}
	_, is := w.node.objects[w.config.Node]
	return s.Synced && !is, ""
}

// lookAtName has the name of this node compared with those that the cluster has. It does
// not block.
func (w *Watcher) lookAtName() {
	select {
	case w.nameDoubts <- struct{}{}:
	default:
	}
}

// checkName tells, until ctx ends, when the cluster has no Node of this node's name, and
// which names are like it.
func (w *Watcher) checkName(ctx context.Context) {
	told := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.nameDoubts:
		}
		absent, other := w.nodeAbsent()
		if absent == told {
			continue
		}
		told = absent
		if !absent {
			w.config.Log.Info("the cluster has the Node now", "node", w.config.Node)
			w.tellAbsent(false, nil)
			continue
		}
		w.tellAbsent(true, nil)
		names := []string{other}
		if other == "" {
			names = w.namesAlike(ctx)
		}
		if ctx.Err() != nil {
			return
		}
		w.config.Log.Warn("the cluster has no Node with the name of this node: correct kubernetes.node or $NODE_NAME, or wait until the Node is there",
			"node", w.config.Node, "alike", names)
		w.tellAbsent(true, names)
	}
}

func (w *Watcher) tellAbsent(is bool, names []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.absent, w.alike = is, names
	w.handler.Absent(is, names)
}

// absence says that the Node is waited for.
func (w *Watcher) absence() string {
	text := "node " + w.config.Node + ", which the cluster does not have"
	if len(w.alike) > 0 {
		text += " (it has " + strings.Join(w.alike, " and ") + ")"
	}
	return text
}

// namesAlike returns the names of Nodes that are like this node's, none where the
// account may not list Nodes, or the Node appears meanwhile.
func (w *Watcher) namesAlike(ctx context.Context) []string {
	for {
		nodes, err := w.client.typed.nodeNames(ctx)
		if err == nil || apierrors.IsForbidden(err) {
			return alike(w.config.Node, nodes)
		}
		if absent, _ := w.nodeAbsent(); !absent {
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(namesAgain):
		}
	}
}

// nodeNames are a Node's name and the host name that it is labelled with.
type nodeNames struct{ name, host string }

// nodeNames lists those of all Nodes, without the rest of them.
func (t *typed) nodeNames(ctx context.Context) ([]nodeNames, error) {
	var all []nodeNames
	next := ""
	for range namePages {
		raw, err := t.groups[corev1.SchemeGroupVersion].Get().Resource("nodes").
			SetHeader("Accept", "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1").
			Param("limit", strconv.Itoa(namesAtOnce)).Param("continue", next).Timeout(callTimeout).Do(ctx).Raw()
		if err != nil {
			return nil, fmt.Errorf("list the names of nodes: %w", err)
		}
		var list metav1.PartialObjectMetadataList
		if err := json.Unmarshal(raw, &list); err != nil {
			return nil, fmt.Errorf("read the names of nodes: %w", err)
		}
		for _, n := range list.Items {
			all = append(all, nodeNames{n.Name, n.Labels[corev1.LabelHostname]})
		}
		if next = list.Continue; next == "" {
			break
		}
	}
	return all, nil
}

// alike returns the names of nodes that may be meant by a name that none of them has,
// the likeliest first: the same in other letters' cases, the host name of the node, the
// same without a domain, and a slip of the pen.
func alike(name string, nodes []nodeNames) []string {
	type suggestion struct {
		name     string
		distance int
	}
	var all []suggestion
	wanted := strings.ToLower(name)
	short, _, _ := strings.Cut(wanted, ".")
	for _, n := range nodes {
		is := strings.ToLower(n.name)
		isShort, _, _ := strings.Cut(is, ".")
		hostShort, _, _ := strings.Cut(strings.ToLower(n.host), ".")
		d := -1
		switch slip := distance(short, isShort); {
		case is == wanted:
			d = 0
		case strings.EqualFold(n.host, name):
			d = 1
		case isShort == short, hostShort == short:
			d = 2
		case slip <= 2 && 2*slip < len(short):
			d = 2 + slip
		}
		if d >= 0 {
			all = append(all, suggestion{n.name, d})
		}
	}
	slices.SortFunc(all, func(a, b suggestion) int {
		return cmp.Or(cmp.Compare(a.distance, b.distance), cmp.Compare(a.name, b.name))
	})
	var names []string
	for _, s := range all[:min(len(all), maxAlike)] {
		names = append(names, s.name)
	}
	return names
}

// distance returns how many letters have to be put in, taken out or changed to make one
// word the other (Levenshtein's distance).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
