// SPDX-License-Identifier: Apache-2.0

package consume

import (
	"slices"
	"testing"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

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
		c, err := Open()
		if err != nil {
			return err
		}
		defer c.Close()
		b := newBatch()
		attrs := b.attrs(func(e *netlink.AttributeEncoder) { e.String(unix.NFTA_TABLE_NAME, "guard") })
		b.add(unix.NFT_MSG_NEWTABLE, netlink.Create, attrs)
		b.add(unix.NFT_MSG_NEWCHAIN, netlink.Create, b.attrs(func(e *netlink.AttributeEncoder) {
			e.String(unix.NFTA_CHAIN_TABLE, "guard")
			e.String(unix.NFTA_CHAIN_NAME, "in")
			e.Nested(unix.NFTA_CHAIN_HOOK, func(e *netlink.AttributeEncoder) error {
				e.Uint32(unix.NFTA_HOOK_HOOKNUM, 0)
				e.Uint32(unix.NFTA_HOOK_PRIORITY, 0)
				e.String(unix.NFTA_HOOK_DEV, "lo")
				return nil
			})
			e.String(unix.NFTA_CHAIN_TYPE, "filter")
		}))
		messages := b.finish()
		for i := range messages[1 : len(messages)-1] {
			messages[i+1].Data[0] = unix.NFPROTO_NETDEV
		}
		if err := c.send(messages); err != nil {
			return err
		}
		for device, want := range map[string][]string{"lo": {"guard in"}, "eth0": nil} {
			got, err := IngressChains(device)
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
