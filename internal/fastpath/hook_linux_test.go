// SPDX-License-Identifier: Apache-2.0

package fastpath_test

import (
	"errors"
	"testing"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/internal/fastpath"
	"github.com/ndproxyd/ndproxyd/internal/lab"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

// What programs at XDP and at tc return.
const (
	xdpPass = 2
	tcNext  = -1
	tcOK    = 0
)

// occupy attaches a program to the XDP hook of a device, as long as the test runs.
func occupy(t *testing.T, ns *lab.Namespace, device string, flags link.XDPAttachFlags) (l link.Link) {
	t.Helper()
	p := program(t, ebpf.XDP, "first_comer", xdpPass)
	in(t, ns, device, func(index int) (err error) {
		l, err = link.AttachXDP(link.XDPOptions{Program: p, Interface: index, Flags: flags})
		return err
	})
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// occupyByName attaches it as "ip link set xdp" does, without a link.
func occupyByName(t *testing.T, ns *lab.Namespace, device string) {
	t.Helper()
	p := program(t, ebpf.XDP, "first_comer", xdpPass)
	l, err := ns.Link.LinkByName(device)
	must(t, err)
	must(t, ns.Do(func() error { return netlink.LinkSetXdpFd(l, p.FD()) }))
}

// TestWays attaches the program the way that the settings ask for, or by the next one.
func TestWays(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		mode    rules.FastPathMode
		early   bool
		old     bool // the kernel
		prepare func(t *testing.T, r *rig)
		hook    string
		why     string
	}{
		"tc":                          {mode: rules.FastPathTC, hook: "tcx"},
		"tc of an older kernel":       {mode: rules.FastPathTC, old: true, hook: "clsact"},
		"native":                      {mode: rules.FastPathXDP, prepare: peerXDP, hook: "xdp native"},
		"native, early":               {mode: rules.FastPathXDP, early: true, prepare: peerXDP, hook: "xdp native"},
		"native, nobody would hear":   {mode: rules.FastPathXDP, hook: "tcx", why: "xdp: the other end of the veth has no XDP program"},
		"native, and only GRO there":  {mode: rules.FastPathXDP, prepare: peerGRO, hook: "tcx", why: "xdp: the other end of the veth has no XDP program"},
		"native, with an older tc":    {mode: rules.FastPathXDP, old: true, hook: "clsact", why: "the other end of the veth has no XDP program"},
		"native, early, unheard":      {mode: rules.FastPathXDP, early: true, hook: "", why: "the other end of the veth has no XDP program"},
		"generic":                     {mode: rules.FastPathXDPGeneric, hook: "xdp generic"},
		"generic, early":              {mode: rules.FastPathXDPGeneric, early: true, hook: "xdp generic"},
		"native, taken":               {mode: rules.FastPathXDP, prepare: taken(link.XDPDriverMode), hook: "tcx", why: "(first_comer), attached by bpf_link"},
		"generic, taken natively":     {mode: rules.FastPathXDPGeneric, prepare: taken(link.XDPDriverMode), hook: "tcx", why: "the XDP hook is taken by program"},
		"generic, taken":              {mode: rules.FastPathXDPGeneric, prepare: taken(link.XDPGenericMode), hook: "tcx", why: "(first_comer), attached by bpf_link"},
		"generic, taken without link": {mode: rules.FastPathXDPGeneric, prepare: takenByName, hook: "tcx", why: "(first_comer), attached without a bpf_link"},
		"generic, early, taken":       {mode: rules.FastPathXDPGeneric, early: true, prepare: takenByName, hook: "", why: "the XDP hook is taken"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			if c.prepare != nil {
				c.prepare(t, r)
			}
			o := fastpath.Options{}
			if c.old {
				o = o.WithoutTCX()
			}
			r.listen(harness.Uplink, rules.Uplink{FastPath: c.mode, Early: c.early}, o)
			r.wantPath(c.hook, c.why)
			r.wantAnswers(c.hook != "")
			if c.why != "" && !r.log.Has("another way answers than fast_path asks for") {
				t.Error("the log does not say why")
			}
			r.close()
			if f := r.asker.Ask(conformance.Pod, harness.Quiet); f != nil {
				t.Errorf("somebody answers when the responder is closed: % x", f)
			}
			if q := qdiscs(t, r.Node); q != 0 {
				t.Errorf("%d hooks of tc are left", q)
			}
		})
	}
}

func peerXDP(t *testing.T, r *rig) {
	t.Helper()
	occupy(t, r.Router, harness.RouterPort, link.XDPDriverMode)
}

// peerGRO has the other end receive by NAPI, as an XDP program does.
func peerGRO(t *testing.T, r *rig) {
	t.Helper()
	const setGRO = 0x2c // ETHTOOL_SGRO
	setAtRouter(t, r, setGRO, 1)
}

// setAtRouter has the driver of the router's port take a command of ethtool.
func setAtRouter(t *testing.T, r *rig, command, to uint32) {
	t.Helper()
	value := [2]uint32{command, to}
	request := struct {
		name [unix.IFNAMSIZ]byte
		data unsafe.Pointer
		_    [16]byte
	}{data: unsafe.Pointer(&value)}
	copy(request.name[:], harness.RouterPort)
	must(t, r.Router.Do(func() error {
		fd, err := unix.Socket(unix.AF_INET6, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request))); errno != 0 {
			return errno
		}
		return nil
	}))
}

func taken(flags link.XDPAttachFlags) func(*testing.T, *rig) {
	return func(t *testing.T, r *rig) {
		t.Helper()
		occupy(t, r.Node, harness.Uplink, flags)
	}
}

func takenByName(t *testing.T, r *rig) {
	t.Helper()
	occupyByName(t, r.Node, harness.Uplink)
}

// qdiscs returns how many hooks of tc the uplink has.
func qdiscs(t *testing.T, ns *lab.Namespace) (n int) {
	t.Helper()
	l, err := ns.Link.LinkByName(harness.Uplink)
	must(t, err)
	all, err := ns.Link.QdiscList(l)
	must(t, err)
	for _, q := range all {
		if q.Type() == "clsact" {
			n++
		}
	}
	return n
}

// TestDeviceGone closes a responder whose device is gone.
func TestDeviceGone(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]fastpath.Options{"tcx": {}, "clsact": fastpath.Options{}.WithoutTCX()} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.listen(harness.Uplink, rules.Uplink{FastPath: rules.FastPathTC}, o)
			r.wantPath(name, "")
			must(t, r.Node.Delete(harness.Uplink))
			err := r.responder.Close()
			r.responder = nil
			if err != nil && !errors.Is(err, unix.ENETDOWN) && !errors.Is(err, unix.ENODEV) {
				t.Error(err)
			}
		})
	}
}
