// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/test/harness"
)

// Crossings counts how often each packet crosses the link. A packet that a node
// sends back comes again with another hop limit, and a repetition with the same.
type Crossings struct {
	mu      sync.Mutex
	limits  map[string]map[byte]bool
	example map[string]string
}

// Watch looks at what the stations of the link send, until the test ends.
func (n *Network) Watch(tb testing.TB) *Crossings {
	tb.Helper()
	c := &Crossings{limits: make(map[string]map[byte]bool), example: make(map[string]string)}
	ports := []string{"router"}
	for _, node := range n.Nodes {
		ports = append(ports, node.Name)
	}
	for _, port := range ports {
		var conn *packet.Conn
		harness.Must(tb, n.Switch.Do(func() error {
			ifi, err := net.InterfaceByName(port)
			if err != nil {
				return err
			}
			conn, err = packet.Listen(ifi, packet.Raw, unix.ETH_P_ALL, nil)
			return err
		}))
		raw, err := conn.SyscallConn()
		harness.Must(tb, err)
		harness.Must(tb, raw.Control(func(fd uintptr) {
			harness.Must(tb, unix.SetsockoptInt(int(fd), unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1))
		}))
		tb.Cleanup(func() { _ = conn.Close() })
		go c.read(conn)
	}
	return c
}

func (c *Crossings) read(conn *packet.Conn) {
	buf := make([]byte, 65536)
	for {
		k, _, err := conn.ReadFrom(buf)
		if err != nil {
			if os.IsTimeout(err) {
				continue
			}
			return
		}
		if k >= 54 && buf[12] == 0x86 && buf[13] == 0xdd {
			c.add(buf[:k])
		}
	}
}

func (c *Crossings) add(f []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := string(f[18:21]) + string(f[22:]) // all but traffic class, flow and hop limit
	if c.limits[key] == nil {
		c.limits[key] = make(map[byte]bool)
		src, _ := netip.AddrFromSlice(f[22:38])
		dst, _ := netip.AddrFromSlice(f[38:54])
		kind := 0
		if len(f) > 54 {
			kind = int(f[54])
		}
		c.example[key] = fmt.Sprintf("%s to %s, next header %d, first octet %d", src, dst, f[20], kind)
	}
	c.limits[key][f[21]] = true
}

// Reset forgets everything.
func (c *Crossings) Reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.limits)
	clear(c.example)
}

// Most waits for what is under way, and returns the packet that has crossed most
// often, and how often that was.
func (c *Crossings) Most(wait time.Duration) (most int, example string) {
	time.Sleep(wait)
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, limits := range c.limits {
		if len(limits) > most {
			most, example = len(limits), c.example[key]
		}
	}
	return most, example
}
