// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv6"
)

// Pinger sends ICMPv6 echo requests out of a namespace.
type Pinger struct {
	conn   *icmp.PacketConn
	target netip.Addr
	seq    int
}

// NewPinger returns a pinger for the target.
func (n *Namespace) NewPinger(target netip.Addr) (*Pinger, error) {
	p := &Pinger{target: target}
	err := n.Do(func() error {
		var err error
		p.conn, err = icmp.ListenPacket("ip6:ipv6-icmp", "::")
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("open ICMPv6 socket: %w", err)
	}
	return p, nil
}

// Close releases the socket.
func (p *Pinger) Close() error { return p.conn.Close() }

// ErrNoReply means that the reply did not come in time.
var ErrNoReply = errors.New("no reply")

// Ping sends one echo request and returns the time to its reply. Without one in
// time it returns [ErrNoReply].
func (p *Pinger) Ping(ctx context.Context, timeout time.Duration) (time.Duration, error) {
	p.seq++
	id := os.Getpid() & 0xffff
	request := icmp.Message{Type: ipv6.ICMPTypeEchoRequest, Body: &icmp.Echo{ID: id, Seq: p.seq & 0xffff}}
	b, err := request.Marshal(nil)
	if err != nil {
		return 0, fmt.Errorf("marshal echo request: %w", err)
	}
	begin := time.Now()
	defer context.AfterFunc(ctx, func() { _ = p.conn.SetReadDeadline(time.Unix(1, 0)) })()
	if err := p.conn.SetReadDeadline(begin.Add(timeout)); err != nil {
		return 0, err
	}
	if _, err := p.conn.WriteTo(b, &net.IPAddr{IP: p.target.AsSlice()}); err != nil {
		return 0, fmt.Errorf("send echo request: %w", err)
	}
	buf := make([]byte, 1500)
	for {
		n, _, err := p.conn.ReadFrom(buf)
		switch {
		case ctx.Err() != nil:
			return 0, ctx.Err()
		case errors.Is(err, os.ErrDeadlineExceeded):
			return 0, ErrNoReply
		case err != nil:
			return 0, fmt.Errorf("receive echo reply: %w", err)
		}
		reply, err := icmp.ParseMessage(ipv6.ICMPTypeEchoReply.Protocol(), buf[:n])
		if err != nil || reply.Type != ipv6.ICMPTypeEchoReply {
			continue
		}
		if echo, ok := reply.Body.(*icmp.Echo); ok && echo.ID == id && echo.Seq == p.seq&0xffff {
			return time.Since(begin), nil
		}
	}
}
