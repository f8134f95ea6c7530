// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"errors"
	"fmt"

	"github.com/ndproxyd/ndproxyd/internal/config"
	"github.com/ndproxyd/ndproxyd/internal/discover"
	"github.com/ndproxyd/ndproxyd/pkg/k8swatch"
)

// ErrKubernetes is wrapped by errors about a kubeconfig or credentials that
// cannot be used.
var ErrKubernetes = errors.New("kubernetes cannot be followed")

// Connect makes the client of a configuration, nil where its rules need no
// cluster, as in a pod that only has rules for routes. It asks the server
// nothing. Its errors wrap [ErrKubernetes].
func Connect(cfg *config.Config, version string) (*k8swatch.Client, error) {
	if discover.NeedsOf(cfg) == (discover.Needs{}) {
		return nil, nil
	}
	return Dial(cfg, version)
}

// Dial makes a client of the configuration's server and account, whatever the
// rules need: tokens are reviewed without any. The configuration must have a
// section for Kubernetes. Its errors wrap [ErrKubernetes].
func Dial(cfg *config.Config, version string) (*k8swatch.Client, error) {
	client, err := k8swatch.Connect(cfg.Kubernetes.Kubeconfig, cfg.Kubernetes.Server, "ndproxyd/"+version)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKubernetes, err)
	}
	return client, nil
}

// selectionOf returns which service addresses count.
func selectionOf(s config.ServiceSelection) k8swatch.Selection {
	out := k8swatch.Selection{Selector: s.Selector, Classes: s.Classes}
	for _, kind := range s.Kinds {
		out.Kinds = append(out.Kinds, k8swatch.ServiceKind(kind))
	}
	return out
}
