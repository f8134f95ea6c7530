// SPDX-License-Identifier: Apache-2.0

package compare

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ndproxyd/ndproxyd/test/conformance"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

// asker is a router that never answers a solicitation of ours.
var asker = conformance.MAC{2, 0, 0, 0, 0, 0x31}

// from makes a solicitation one of that router.
func from(target netip.Addr) conformance.Frame {
	f := conformance.Solicitation(target)
	f.EtherSrc, f.Source = asker, netip.MustParseAddr("2001:db8:1::fe")
	copy(f.Options[2:], asker[:])
	return f
}

func rows() []row { return slices.Concat(packetRows(), takeOverRows()) }

func packetRows() []row {
	return []row{
		{name: "multicast solicitation is answered", conf: static, do: func(_ *testing.T, b *bed) string {
			return yes(b.answer(conformance.Solicitation(conformance.Pod)) != nil)
		}, want: "yes"},
		{name: "unicast probe without link-layer address is answered", conf: static, do: func(_ *testing.T, b *bed) string {
			f := conformance.Solicitation(conformance.Pod)
			f.EtherDst, f.Dest, f.Options = conformance.NodeMAC, conformance.Pod, nil
			return yes(b.answer(f) != nil)
		}, want: "yes"},
		{name: "duplicate address detection is answered to all nodes", conf: static, do: func(_ *testing.T, b *bed) string {
			got := b.answer(conformance.Probe(conformance.Pod))
			return yes(got != nil && [16]byte(got[38:54]) == [16]byte{0: 0xff, 1: 2, 15: 1} && got[58]&0x40 == 0)
		}, want: "yes"},
		{name: "hop limit 64 is answered", conf: static, do: func(_ *testing.T, b *bed) string {
			f := conformance.Solicitation(conformance.Pod)
			f.HopLimit = 64
			return yes(b.answer(f) != nil)
		}, want: "no"},
		{name: "bad checksum is answered", conf: static, do: func(_ *testing.T, b *bed) string {
			f := conformance.Solicitation(conformance.Pod)
			f.Corrupt = true
			return yes(b.answer(f) != nil)
		}, want: "no"},
		{name: "link-layer address and nonce are answered", conf: static, do: func(_ *testing.T, b *bed) string {
			f := conformance.Solicitation(conformance.Pod)
			f.Options = append(f.Options, 14, 1, 1, 2, 3, 4, 5, 6)
			got := b.answer(f)
			return yes(got != nil && [6]byte(got[:6]) == conformance.RouterMAC)
		}, want: "yes"},
		{name: "router that never answers us is answered", conf: static, do: func(_ *testing.T, b *bed) string {
			got := b.answer(from(conformance.Pod))
			return yes(got != nil && [6]byte(got[:6]) == asker)
		}, want: "yes"},
		{name: "wake-ups in 5 s of idleness", conf: static, do: idle},
		{name: "resident memory, MiB", conf: static, do: func(t *testing.T, b *bed) string { return fmt.Sprintf("%.1f", memory(t, b)) }},
		{name: "auto: second pod behind one route is answered", conf: auto, do: func(_ *testing.T, b *bed) string {
			return yes(b.answer(conformance.Solicitation(conformance.Pod)) != nil && b.answer(conformance.Solicitation(second)) != nil)
		}, want: "yes"},
		{name: "auto: route deleted, still answered after 2 s", conf: auto, do: func(t *testing.T, b *bed) string {
			b.answer(conformance.Solicitation(conformance.Pod))
			harness.Must(t, b.net.Node.Down("pods"))
			time.Sleep(2 * time.Second)
			return yes(b.answer(conformance.Solicitation(conformance.Pod)) != nil)
		}, want: "no"},
		{name: "iface: second router is answered", conf: iface, do: func(_ *testing.T, b *bed) string {
			b.answer(conformance.Solicitation(conformance.Pod))
			got := b.answer(from(conformance.Pod))
			return yes(got != nil && [6]byte(got[:6]) == asker)
		}, want: "yes"},
		{name: "iface: address that comes after it was asked for, s", conf: iface, do: late},
		{name: "iface: memory for a scan of 20,000 addresses, MiB more", conf: iface, do: scan},
		{name: "processor while the uplink is down, %", conf: static, do: down},
		{name: "answers again after the uplink was down", conf: static, do: func(t *testing.T, b *bed) string {
			harness.Must(t, b.net.Node.Down(harness.Uplink))
			time.Sleep(time.Second)
			harness.Must(t, b.net.Node.Up(harness.Uplink))
			b.net.AddressNode(t)
			return yes(again(t, b))
		}, want: "yes"},
		{name: "answers again after the uplink was deleted and created", conf: static, do: func(t *testing.T, b *bed) string {
			harness.Must(t, b.net.Node.Delete(harness.Uplink))
			time.Sleep(time.Second)
			harness.Must(t, b.net.Router.Veth(harness.RouterPort, conformance.RouterMAC, b.net.Node, harness.Uplink, conformance.NodeMAC))
			b.net.Address(t)
			return yes(again(t, b))
		}, want: "yes"},
	}
}

// again asks for some seconds on a new port.
func again(t *testing.T, b *bed) bool {
	b.port = harness.OpenPort(t, b.net.Router, harness.RouterPort)
	tries := 10
	if b.ours {
		tries = int(harness.Patience / within)
	}
	for range tries {
		if b.answerWithin(conformance.Solicitation(conformance.Pod), within) != nil {
			return true
		}
	}
	return false
}

// late asks for an address before it is there, and then every 100 ms.
func late(t *testing.T, b *bed) string {
	const missing = "2001:db8:1:0:f::77"
	target := netip.MustParseAddr(missing)
	b.answer(conformance.Solicitation(target))
	harness.Must(t, b.net.Node.Address("pods", "2001:db8:1:0:f::fe/128")) // no news of the target
	time.Sleep(4 * time.Second)
	harness.Must(t, b.pods.Address("eth0", missing+"/80"))
	begin, stalled := time.Now(), harness.Stalled()
	for time.Since(begin) < 45*time.Second {
		if b.answer(conformance.Solicitation(target)) != nil {
			took := (time.Since(begin) - (harness.Stalled() - stalled)).Seconds()
			if b.ours && took > 5 {
				t.Errorf("answered after %.1f s", took)
			}
			return fmt.Sprintf("%.1f", took)
		}
	}
	return "never"
}

// idle counts the wake-ups of all threads, once the memory of the start has been
// given back, 2 s after it.
func idle(t *testing.T, b *bed) string {
	time.Sleep(4 * time.Second)
	before := switches(t, b)
	time.Sleep(5 * time.Second)
	n := switches(t, b) - before
	if b.ours && n > 10 {
		t.Errorf("%d wake-ups", n)
	}
	return strconv.Itoa(n)
}

// switches sums the voluntary context switches of a process.
func switches(t *testing.T, b *bed) int {
	t.Helper()
	files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", b.d.Process.Pid))
	harness.Must(t, err)
	sum := 0
	for _, f := range files {
		sum += field(t, f, "voluntary_ctxt_switches:")
	}
	return sum
}

// field returns a number of a status file.
func field(t *testing.T, path, name string) int {
	t.Helper()
	text, err := os.ReadFile(path)
	harness.Must(t, err)
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == name {
			n, err := strconv.Atoi(f[1])
			harness.Must(t, err)
			return n
		}
	}
	t.Fatalf("no %s in %s", name, path)
	return 0
}

func memory(t *testing.T, b *bed) float64 {
	t.Helper()
	return float64(field(t, fmt.Sprintf("/proc/%d/status", b.d.Process.Pid), "VmRSS:")) / 1024
}

// scan asks for many addresses that do not exist.
func scan(t *testing.T, b *bed) string {
	before := memory(t, b)
	a := conformance.PodPrefix.Addr().As16()
	for i := range 20_000 {
		a[12], a[14], a[15] = 9, byte(i>>8), byte(i)
		b.port.Send(conformance.Solicitation(netip.AddrFrom16(a)).Bytes())
		if i%100 == 0 {
			time.Sleep(5 * time.Millisecond)
		}
	}
	time.Sleep(time.Second)
	more := memory(t, b) - before
	if b.ours && more > 20 {
		t.Errorf("%.1f MiB more", more)
	}
	return fmt.Sprintf("%.1f", more)
}

// down takes the uplink down and looks at the processor time.
func down(t *testing.T, b *bed) string {
	harness.Must(t, b.net.Node.Down(harness.Uplink))
	before, begin := ticks(t, b), time.Now()
	time.Sleep(2 * time.Second)
	after := ticks(t, b)
	if after < 0 {
		return "ended"
	}
	percent := int(float64(after-before) / time.Since(begin).Seconds()) // of 100 ticks a second
	if b.ours && percent > 20 {
		t.Errorf("%d %% of a processor", percent)
	}
	return strconv.Itoa(percent)
}

// ticks returns the processor time of the process, -1 when it has ended.
func ticks(t *testing.T, b *bed) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", b.d.Process.Pid))
	if err != nil {
		return -1
	}
	f := strings.Fields(string(text[strings.LastIndexByte(string(text), ')'):]))
	if f[1] == "Z" {
		return -1
	}
	user, err := strconv.Atoi(f[12])
	harness.Must(t, err)
	system, err := strconv.Atoi(f[13])
	harness.Must(t, err)
	return user + system
}
