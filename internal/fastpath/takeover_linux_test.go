// SPDX-License-Identifier: Apache-2.0

package fastpath

import (
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/internal/lab"
	"github.com/ndproxyd/ndproxyd/pkg/hostwatch"
	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
	"github.com/ndproxyd/ndproxyd/test/conformance"
)

const onDevice = "uplink"

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// stage is a node with a router on its uplink, and a bpffs.
type stage struct {
	t            *testing.T
	node, router *lab.Namespace
	directory    string
	conn         *packet.Conn
	counters     *ndp.Counters
	options      Options
	config       rules.Uplink
	changed      func() // hears of another way; may be nil
}

func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{t: t, counters: new(ndp.Counters), config: rules.Uplink{Interface: onDevice, FastPath: rules.FastPathTC}}
	var err error
	s.node, err = lab.New()
	check(t, err)
	t.Cleanup(s.node.Close)
	s.router, err = lab.New()
	check(t, err)
	t.Cleanup(s.router.Close)
	s.veth(conformance.NodeMAC)
	mount := t.TempDir()
	check(t, unix.Mount("bpf", mount, "bpf", 0, ""))
	t.Cleanup(func() { check(t, unix.Unmount(mount, unix.MNT_DETACH)) })
	s.directory = filepath.Join(mount, "ndproxyd")
	s.options = Options{Directory: s.directory, Log: slog.New(slog.DiscardHandler)}
	return s
}

// veth makes the device.
func (s *stage) veth(mac [6]byte) {
	s.t.Helper()
	check(s.t, s.router.Veth("link", conformance.RouterMAC, s.node, onDevice, mac))
	check(s.t, s.node.Address(onDevice, conformance.NodeAddr.String()+"/64"))
	link, err := s.router.Link.LinkByName("link")
	check(s.t, err)
	check(s.t, s.router.Do(func() (err error) {
		s.conn, err = packet.Listen(&net.Interface{Index: link.Attrs().Index}, packet.Raw, unix.ETH_P_IPV6, nil)
		return err
	}))
	s.t.Cleanup(func() { _ = s.conn.Close() })
}

// eventually waits until something is so.
func (s *stage) eventually(what string, is func() bool) {
	s.t.Helper()
	for last := time.Now().Add(2 * patience); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(last) {
			s.t.Fatalf("%s: not in %s", what, 2*patience)
		}
	}
}

// view returns the view of rules.
func view(t *testing.T, rs ...rules.Rule) *rules.View {
	t.Helper()
	table, err := rules.Compile(rs)
	check(t, err)
	return table.View(onDevice)
}

func static(prefix string) rules.Rule {
	return rules.Rule{Prefix: netip.MustParsePrefix(prefix), Method: rules.Static}
}

// listen starts a responder as a daemon would.
func (s *stage) listen(v *rules.View) *Responder {
	s.t.Helper()
	var r *Responder
	check(s.t, s.node.Do(func() (err error) {
		r, err = s.listenHere(v)
		return err
	}))
	return r
}

// listenHere does so on a thread in the node's namespace.
func (s *stage) listenHere(v *rules.View) (*Responder, error) {
	link, err := hostwatch.ReadLink(onDevice, 0)
	if err != nil {
		return nil, err
	}
	r, err := Listen(ndp.ListenConfig{
		Interface: ndp.NewInterface(link, s.config), View: v, Counters: s.counters, Recent: new(ndp.Recent),
		PathChanged: s.changed,
	}, s.options)
	if err != nil {
		return nil, err
	}
	return r.(*Responder), nil
}

// crash ends a responder as the end of the process does.
func crash(t *testing.T, r *Responder) {
	t.Helper()
	r.mu.Lock()
	r.finish()
	r.mu.Unlock()
	if r.fast != nil {
		check(t, r.fast.endTasks())
		check(t, r.fast.hook.Release())
		check(t, r.fast.program.Close())
	}
	check(t, r.Listener.Close())
}

// How long an answer is waited for: one that has to come, and one that must not.
const patience, silence = 5 * time.Second, 50 * time.Millisecond

// answered reports whether a target is answered for, and from which address.
func (s *stage) answered(target string, within time.Duration) (mac [6]byte, ok bool) {
	s.t.Helper()
	a := netip.MustParseAddr(target)
	frame := conformance.Solicitation(a).Bytes()
	_, err := s.conn.WriteTo(frame, &packet.Addr{HardwareAddr: frame[:6]})
	check(s.t, err)
	advertisement := s.advertised(within, func(f []byte) bool { return len(f) >= 86 && [16]byte(f[62:78]) == a.As16() })
	if advertisement == nil {
		return mac, false
	}
	return [6]byte(advertisement[80:86]), true
}

// advertised returns the next advertisement that is the one, nil for none.
func (s *stage) advertised(within time.Duration, is func(frame []byte) bool) []byte {
	s.t.Helper()
	check(s.t, s.conn.SetReadDeadline(time.Now().Add(within)))
	buf := make([]byte, 256)
	for {
		n, _, err := s.conn.ReadFrom(buf)
		if os.IsTimeout(err) {
			return nil
		}
		check(s.t, err)
		if n >= 78 && buf[54] == 136 && is(buf[:n]) {
			return buf[:n]
		}
	}
}

func (s *stage) want(what, target string, answered bool) {
	s.t.Helper()
	within := silence
	if answered {
		within = patience
	}
	if _, ok := s.answered(target, within); ok != answered {
		s.t.Errorf("%s: %s is answered: %v", what, target, ok)
	}
}

// byProgram returns how many answers were the program's.
func (s *stage) byProgram() uint64 { return s.counters.ByProgram[ndp.Multicast].Load() }

// TestTakeOver goes on with what a daemon has left that was killed.
func TestTakeOver(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	r := s.listen(view(t, static("2001:db8:f1::/64"), static("2001:db8:f2::/64")))
	if p := r.Path(); p.Pinned == "" || p.Unpinned != "" || p.Way != ndp.WayTC {
		t.Fatalf("the path is %+v", p)
	}
	s.want("first", "2001:db8:f1::1", true)
	crash(t, r)
	s.want("after the crash", "2001:db8:f1::1", true)
	s.want("after the crash", "2001:db8:f2::1", true)
	s.want("after the crash", "2001:db8:f3::1", false)
	r = s.listen(view(t, static("2001:db8:f1::/64"), static("2001:db8:f3::/64")))
	if p := r.Path(); p.Pinned == "" || p.Unpinned != "" || p.Way != ndp.WayTC {
		t.Fatalf("the path is %+v", p)
	}
	s.want("again", "2001:db8:f1::1", true)
	s.want("again", "2001:db8:f2::1", false)
	s.want("again", "2001:db8:f3::1", true)
	check(t, r.CountDrops())
	if n := s.byProgram(); n != 5 {
		t.Errorf("%d answers are counted, not 5", n)
	}
	check(t, r.Hold())
	s.want("after the planned end", "2001:db8:f1::1", true)
	r = s.listen(view(t, static("2001:db8:f1::/64")))
	s.want("third", "2001:db8:f1::1", true)
	check(t, r.Close())
	s.want("closed", "2001:db8:f1::1", false)
	if n := s.byProgram(); n != 7 {
		t.Errorf("%d answers are counted, not 7", n)
	}
	if left, err := filepath.Glob(filepath.Join(s.directory, "*", "*")); err != nil || len(left) > 0 {
		t.Errorf("%v is left, %v", left, err)
	}
}

// TestGoOn has the table of the daemon before be believed while it is built anew, but not
// where it names another MAC address than the device has.
func TestGoOn(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	r := s.listen(view(t, static("2001:db8:f1::/64")))
	s.want("running", "2001:db8:f1::1", true)
	check(t, r.fast.endTasks()) // no more signs of life
	check(t, r.Listener.Close())
	for _, step := range []struct {
		name     string
		mac      [6]byte
		answered bool
	}{
		{"another address", conformance.OtherMAC, false},
		{"the same address", conformance.NodeMAC, true},
	} {
		l, err := open(r.fast.folder)
		check(t, err)
		check(t, r.fast.goOn(l, ndp.NewInterface(rules.Link{Name: onDevice, MAC: step.mac}, s.config)))
		time.Sleep(silence) // the program's clock goes by ticks
		s.want(step.name, "2001:db8:f1::1", step.answered)
		l.close()
	}
	check(t, r.fast.hook.Close())
	check(t, r.fast.program.Close())
}
