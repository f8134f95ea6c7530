// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"syscall"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Namespace is a network namespace that lives as long as its descriptor and
// the processes in it.
type Namespace struct {
	handle netns.NsHandle
	// Link is netlink inside of the namespace, for any goroutine.
	Link *netlink.Handle
}

// New creates a namespace whose loopback interface is up, and in which
// addresses are usable at once, without duplicate address detection.
func New() (*Namespace, error) {
	n := new(Namespace)
	err := onThread(func() error {
		h, err := netns.New()
		if err != nil {
			return fmt.Errorf("create network namespace: %w", err)
		}
		n.handle = h
		return nil
	})
	if err != nil {
		return nil, err
	}
	if n.Link, err = netlink.NewHandleAt(n.handle, unix.NETLINK_ROUTE); err != nil {
		return nil, errors.Join(fmt.Errorf("open netlink: %w", err), n.handle.Close())
	}
	if err := errors.Join(n.Up("lo"), n.Sysctl("net/ipv6/conf/default/accept_dad", "0")); err != nil {
		n.Close()
		return nil, err
	}
	return n, nil
}

// Close gives the namespace up. Its devices vanish with the last process.
func (n *Namespace) Close() {
	n.Link.Close()
	_ = n.handle.Close()
}

// Path names the namespace for other programs, while this process lives.
func (n *Namespace) Path() string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), n.handle) }

// Do calls f in the namespace. Sockets that f opens, and processes that it
// starts, stay there; goroutines that it starts do not.
func (n *Namespace) Do(f func() error) error {
	return onThread(func() error { return n.Enter(f) })
}

// Enter calls f in the namespace on the caller's thread, which must be locked
// and stays there.
func (n *Namespace) Enter(f func() error) error {
	if err := netns.Set(n.handle); err != nil {
		return fmt.Errorf("enter network namespace: %w", err)
	}
	return f()
}

// onThread calls f on a thread of its own, whose namespace f may change.
func onThread(f func() error) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		home, err := netns.Get()
		if err != nil {
			result <- fmt.Errorf("read network namespace: %w", err)
			return
		}
		defer home.Close()
		err = f()
		// A thread that cannot go home stays locked and ends with the goroutine.
		if back := netns.Set(home); back == nil {
			runtime.UnlockOSThread()
		} else {
			err = errors.Join(err, back)
		}
		result <- err
	}()
	return <-result
}

// Sysctl writes a setting of the namespace, named like net/ipv6/conf/all/forwarding.
func (n *Namespace) Sysctl(name, value string) error {
	return n.Do(func() error {
		return os.WriteFile(filepath.Join("/proc/sys", name), []byte(value), 0)
	})
}

// Veth connects a device of n to a device of the peer, and brings both up.
func (n *Namespace) Veth(name string, mac [6]byte, peer *Namespace, peerName string, peerMAC [6]byte) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.HardwareAddr = name, mac[:]
	veth := &netlink.Veth{
		LinkAttrs: attrs, PeerName: peerName, PeerHardwareAddr: peerMAC[:],
		PeerNamespace: netlink.NsFd(peer.handle),
	}
	if err := n.Link.LinkAdd(veth); err != nil {
		return fmt.Errorf("create veth %s: %w", name, err)
	}
	return errors.Join(n.Up(name), peer.Up(peerName))
}

// Up brings a device up.
func (n *Namespace) Up(name string) error { return n.on(name, "bring up", n.Link.LinkSetUp) }

// Down takes a device down.
func (n *Namespace) Down(name string) error { return n.on(name, "take down", n.Link.LinkSetDown) }

// Delete deletes a device.
func (n *Namespace) Delete(name string) error { return n.on(name, "delete", n.Link.LinkDel) }

// Move gives a device to another namespace.
func (n *Namespace) Move(name string, to *Namespace) error {
	return n.on(name, "move", func(l netlink.Link) error { return n.Link.LinkSetNsFd(l, int(to.handle)) })
}

func (n *Namespace) on(name, verb string, f func(netlink.Link) error) error {
	link, err := n.Link.LinkByName(name)
	if err == nil {
		err = f(link)
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w", verb, name, err)
	}
	return nil
}

// Address assigns an address with its prefix to a device.
func (n *Namespace) Address(name, prefix string) error {
	return n.on(name, "address", func(l netlink.Link) error {
		a, err := netlink.ParseAddr(prefix)
		if err != nil {
			return err
		}
		a.Flags |= unix.IFA_F_NODAD
		return n.Link.AddrAdd(l, a)
	})
}

// OnLink makes the next hop of a route count as a neighbor, whatever its
// address.
func OnLink(r *netlink.Route) { r.Flags |= int(netlink.FLAG_ONLINK) }

// Route sends a prefix to a device, by way of a neighbor unless via is "".
func (n *Namespace) Route(prefix, via, name string, mods ...func(*netlink.Route)) error {
	return n.on(name, "route "+prefix+" to", func(l netlink.Link) error {
		dst, err := netlink.ParseIPNet(prefix)
		if err != nil {
			return err
		}
		r := &netlink.Route{LinkIndex: l.Attrs().Index, Dst: dst}
		if via != "" {
			gw, err := netip.ParseAddr(via)
			if err != nil {
				return err
			}
			r.Gw = gw.AsSlice()
		}
		for _, mod := range mods {
			mod(r)
		}
		return n.Link.RouteAdd(r)
	})
}

// Start starts a program in the namespace that dies with this process. A sys
// that is not nil gives it another user and capabilities.
func (n *Namespace) Start(path string, args []string, stdout, stderr *os.File, sys *syscall.SysProcAttr) (*os.Process, error) {
	if sys == nil {
		sys = new(syscall.SysProcAttr)
	}
	sys.Pdeathsig = syscall.SIGKILL
	var p *os.Process
	result := make(chan error, 1)
	go func() {
		// The signal comes with the end of the thread that started the program,
		// so this one stays.
		runtime.LockOSThread()
		if err := hideBPFFS(); err != nil {
			result <- err
			select {}
		}
		result <- n.Enter(func() error {
			var err error
			p, err = os.StartProcess(path, append([]string{path}, args...), &os.ProcAttr{
				Files: []*os.File{nil, stdout, stderr},
				Sys:   sys,
			})
			return err
		})
		select {}
	}()
	if err := <-result; err != nil {
		return nil, fmt.Errorf("start %s: %w", path, err)
	}
	return p, nil
}

// bpffs is where service managers mount one.
const bpffs = "/sys/fs/bpf"

// hideBPFFS takes this host's bpffs from the thread and from what it starts: a daemon that
// is tried out pins nothing there that would outlive it.
func hideBPFFS() error {
	var s unix.Statfs_t
	if err := unix.Statfs(bpffs, &s); err != nil || uint32(s.Type) != unix.BPF_FS_MAGIC {
		return nil //nolint:nilerr // there is none to hide
	}
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("leave mount namespace: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return fmt.Errorf("keep mounts apart: %w", err)
	}
	if err := unix.Unmount(bpffs, unix.MNT_DETACH); err != nil {
		return fmt.Errorf("hide %s: %w", bpffs, err)
	}
	return nil
}

// WriteSys writes a file of the namespace's own /sys, named like
// class/net/eth0/threaded.
func (n *Namespace) WriteSys(name, value string) error {
	return n.withSys(func() error { return os.WriteFile(filepath.Join("/sys", name), []byte(value), 0) })
}

// ReadSys reads a file of the namespace's own /sys.
func (n *Namespace) ReadSys(name string) (string, error) {
	var b []byte
	err := n.withSys(func() error {
		var err error
		b, err = os.ReadFile(filepath.Join("/sys", name))
		return err
	})
	return string(b), err
}

// withSys calls f where /sys is the namespace's.
func (n *Namespace) withSys(f func() error) error {
	result := make(chan error, 1)
	go func() {
		// The thread gets a mount namespace of its own and is never unlocked,
		// so that it ends with the goroutine.
		runtime.LockOSThread()
		result <- n.Enter(func() error {
			if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
				return fmt.Errorf("create mount namespace: %w", err)
			}
			if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
				return fmt.Errorf("make mounts private: %w", err)
			}
			if err := unix.Mount("sysfs", "/sys", "sysfs", 0, ""); err != nil {
				return fmt.Errorf("mount sysfs: %w", err)
			}
			return f()
		})
	}()
	return <-result
}
