// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// filterName is what our filters at a clsact hook are called, where there is no tcx.
const filterName = "ndproxyd"

// removeFilters removes our filters at tc ingress of a device in the calling thread's
// network namespace, and reports whether there were any. The hook stays, as other programs
// may have filters there.
func removeFilters(link netlink.Link) (removed bool, err error) {
	filters, err := ownFilters(link)
	if err != nil {
		return false, err
	}
	for _, f := range filters {
		if err := netlink.FilterDel(f); err != nil && !errors.Is(err, unix.ENOENT) && !errors.Is(err, unix.ENODEV) {
			return removed, fmt.Errorf("remove filter: %w", err)
		}
		removed = true
	}
	return removed, nil
}

// ownFilters lists our filters at tc ingress of a device in the calling thread's network
// namespace. A device that is gone has none.
func ownFilters(link netlink.Link) (own []netlink.Filter, err error) {
	filters, err := netlink.FilterList(link, netlink.HANDLE_MIN_INGRESS)
	if errors.Is(err, unix.ENODEV) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("list filters: %w", err)
	}
	for _, f := range filters {
		if b, ok := f.(*netlink.BpfFilter); ok && b.Name == filterName {
			own = append(own, f)
		}
	}
	return own, nil
}

// removeFiltersAt removes our filters at tc ingress of the device with that index.
func removeFiltersAt(index int) error {
	_, err := removeFilters(&netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: index}})
	return err
}
