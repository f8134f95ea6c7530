// SPDX-License-Identifier: Apache-2.0

package hostwatch

import (
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// HostRouteProtocol marks the routes that this program makes ("proto 73" in
// "ip -6 route"), so that it finds them again. The number is free in
// /etc/iproute2/rt_protos.
const HostRouteProtocol = 73

// HostRoute is a route of this program.
type HostRoute struct {
	Address netip.Addr
	Device  int
}

// AddHostRoute makes the route to an address on the device with that index, and
// fails with an error that wraps [os.ErrExist] where the address has one. It needs
// CAP_NET_ADMIN.
func AddHostRoute(a netip.Addr, device int) error {
	if err := netlink.RouteAdd(hostRoute(a, device)); err != nil {
		return fmt.Errorf("add route to %s: %w", a, helpAdmin(err))
	}
	return nil
}

// RemoveHostRoute removes such a route, if it is there.
func RemoveHostRoute(a netip.Addr, device int) error {
	if err := netlink.RouteDel(hostRoute(a, device)); err != nil && !errors.Is(err, unix.ESRCH) && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("remove route to %s: %w", a, helpAdmin(err))
	}
	return nil
}

func helpAdmin(err error) error {
	if errors.Is(err, unix.EPERM) {
		return fmt.Errorf("%w (autowire needs the capability CAP_NET_ADMIN)", err)
	}
	return err
}

func hostRoute(a netip.Addr, device int) *netlink.Route {
	return &netlink.Route{
		Dst: &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(128, 128)}, LinkIndex: device, Protocol: HostRouteProtocol,
	}
}
