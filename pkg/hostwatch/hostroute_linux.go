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
	// Table is the number of its table, 0 for the main one.
	Table uint32
}

// AddHostRoute makes a route, and fails with an error that wraps [os.ErrExist] where the
// table has one for the address. It needs CAP_NET_ADMIN.
func AddHostRoute(r HostRoute) error {
	if err := netlink.RouteAdd(r.route()); err != nil {
		return fmt.Errorf("add route to %s: %w", r.Address, helpAdmin(err))
	}
	return nil
}

// RemoveHostRoute removes such a route, if it is there.
func RemoveHostRoute(r HostRoute) error {
	if err := netlink.RouteDel(r.route()); err != nil && !errors.Is(err, unix.ESRCH) && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("remove route to %s: %w", r.Address, helpAdmin(err))
	}
	return nil
}

func helpAdmin(err error) error {
	if errors.Is(err, unix.EPERM) {
		return fmt.Errorf("%w (autowire needs the capability CAP_NET_ADMIN)", err)
	}
	return err
}

func (r HostRoute) route() *netlink.Route {
	return &netlink.Route{
		Dst: &net.IPNet{IP: r.Address.AsSlice(), Mask: net.CIDRMask(128, 128)}, LinkIndex: r.Device,
		Protocol: HostRouteProtocol, Table: int(r.Table),
	}
}
