// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"net/netip"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ndproxyd/ndproxyd/test/conformance"
)

// claim is an advertisement of the router for an address, which it has.
func claim(target netip.Addr) []byte { return conformance.Claim(target, conformance.RouterMAC).Bytes() }

func lease(name string) *coordinationv1.Lease {
	return &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: name}}
}
