// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// What the kernel's header linux/ethtool.h defines.
const (
	ethtoolGetStrings = 0x1b
	ethtoolGetStats   = 0x1d
	ethtoolGetFlags   = 0x25
	ethtoolGetSetInfo = 0x37

	flagTakesTagsOff = 1 << 8 // ETH_FLAG_RXVLAN
	setStats         = 1      // ETH_SS_STATS
	stringLen        = 32     // ETH_GSTRING_LEN

	maxDriverStats = 1 << 16 // more is no driver's
)

// ask has the driver of a device read and write a structure that begins with a command.
func (d *device) ask(name string, data []byte) error {
	request := struct {
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [16]byte // struct ifreq has a union
	}{data: unsafe.Pointer(&data[0])}
	copy(request.name[:unix.IFNAMSIZ-1], name)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(d.ethtool), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request))); errno != 0 {
		return fmt.Errorf("ask driver of %s: %w", name, errno)
	}
	return nil
}

// takesTagsOff reports whether a device takes tags of VLANs off received frames.
func (d *device) takesTagsOff(name string) (bool, error) {
	data := make([]byte, 8)
	binary.NativeEndian.PutUint32(data, ethtoolGetFlags)
	if err := d.ask(name, data); err != nil {
		return false, err
	}
	return binary.NativeEndian.Uint32(data[4:])&flagTakesTagsOff != 0, nil
}

// driverStats returns what the driver counts, by its own names.
func (d *device) driverStats(name string) (map[string]uint64, error) {
	info := make([]byte, 20)
	binary.NativeEndian.PutUint32(info, ethtoolGetSetInfo)
	binary.NativeEndian.PutUint64(info[8:], 1<<setStats)
	if err := d.ask(name, info); err != nil {
		return nil, err
	}
	n := int(binary.NativeEndian.Uint32(info[16:]))
	if n == 0 || n > maxDriverStats || binary.NativeEndian.Uint64(info[8:]) == 0 {
		return nil, nil
	}
	names := make([]byte, 12+n*stringLen)
	binary.NativeEndian.PutUint32(names, ethtoolGetStrings)
	binary.NativeEndian.PutUint32(names[4:], setStats)
	if err := d.ask(name, names); err != nil {
		return nil, err
	}
	values := make([]byte, 8+n*8)
	binary.NativeEndian.PutUint32(values, ethtoolGetStats)
	if err := d.ask(name, values); err != nil {
		return nil, err
	}
	stats := make(map[string]uint64, n)
	for i := range n {
		key, _, _ := bytes.Cut(names[12+i*stringLen:][:stringLen], []byte{0})
		stats[string(key)] += binary.NativeEndian.Uint64(values[8+i*8:])
	}
	return stats, nil
}
