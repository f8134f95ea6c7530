// SPDX-License-Identifier: Apache-2.0

package consume_test

import (
	"slices"
	"testing"

	"github.com/google/nftables"

	"github.com/ndproxyd/ndproxyd/internal/consume"
	"github.com/ndproxyd/ndproxyd/internal/lab"
)

// TestIngressChains finds a chain at the ingress hook of a device.
func TestIngressChains(t *testing.T) {
	t.Parallel()
	n, err := lab.New()
	if err != nil {
		t.Fatalf("this test needs root: %v", err)
	}
	defer n.Close()
	err = n.Do(func() error {
		c, err := nftables.New()
		if err != nil {
			return err
		}
		guard := c.AddTable(&nftables.Table{Name: "guard", Family: nftables.TableFamilyNetdev})
		c.AddChain(&nftables.Chain{
			Name: "in", Table: guard, Type: nftables.ChainTypeFilter, Device: "lo",
			Hooknum: nftables.ChainHookIngress, Priority: nftables.ChainPriorityFilter,
		})
		if err := c.Flush(); err != nil {
			return err
		}
		for device, want := range map[string][]string{"lo": {"guard in"}, "eth0": nil} {
			got, err := consume.IngressChains(device)
			if err != nil {
				return err
			}
			if !slices.Equal(got, want) {
				t.Errorf("%s: got %q, want %q", device, got, want)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
