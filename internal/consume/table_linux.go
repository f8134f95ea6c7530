// SPDX-License-Identifier: Apache-2.0

package consume

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// tableName is the name of the table in "nft list ruleset".
const tableName = "ndproxyd"

// drainTime is how long the kernel gets to say all that is wrong with a batch.
const drainTime = 100 * time.Millisecond

// Uplink is an interface.
type Uplink struct {
	Index int
	// MAC is the device's. Frames for other stations come by, too, where a
	// bridge hands what it forwards to nftables (br_netfilter).
	MAC [6]byte
	// Prefixes are those whose unicast solicitations are answered there.
	Prefixes []netip.Prefix
	// Loops are those for which no packet goes back out.
	Loops []netip.Prefix
}

// Table is the table, which lives as long as its socket.
type Table struct {
	conn *netlink.Conn
	made bool
}

// Open opens the socket of a table that does nothing yet.
func Open() (*Table, error) {
	c, err := netlink.Dial(unix.NETLINK_NETFILTER, nil)
	if err != nil {
		return nil, fmt.Errorf("open nftables socket: %w", err)
	}
	return &Table{conn: c}, nil
}

// Close removes the table.
func (t *Table) Close() error { return t.conn.Close() }

// Set replaces what is consumed, at once.
func (t *Table) Set(uplinks []Uplink) error {
	b := newBatch()
	if t.made {
		b.add(unix.NFT_MSG_DELTABLE, 0, b.attrs(func(e *netlink.AttributeEncoder) { e.String(unix.NFTA_TABLE_NAME, tableName) }))
	}
	b.add(unix.NFT_MSG_NEWTABLE, netlink.Create|netlink.Excl, b.attrs(func(e *netlink.AttributeEncoder) {
		e.String(unix.NFTA_TABLE_NAME, tableName)
		e.Uint32(unix.NFTA_TABLE_FLAGS, be(tableOwner))
	}))
	b.chain(prerouting())
	b.chain(forward())
	for _, u := range uplinks {
		for _, p := range u.Prefixes {
			b.consume(u, p)
		}
		for _, p := range u.Loops {
			b.dropLoop(u, p)
		}
	}
	if b.err != nil {
		return b.err
	}
	if err := t.send(b.finish()); err != nil {
		return fmt.Errorf("set nftables table %s: %w", tableName, help(err))
	}
	t.made = true
	return nil
}

func help(err error) error {
	switch {
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("%w (consume_unicast needs the capability CAP_NET_ADMIN, as drop_loops does; or another daemon here has the table already)", err)
	case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EINVAL):
		return fmt.Errorf("%w (consume_unicast needs Linux 5.12 with nftables, as drop_loops does)", err)
	case errors.Is(err, os.ErrExist):
		return fmt.Errorf("%w (another program has a table of this name)", err)
	}
	return err
}

// send sends a batch, and returns the first error that the kernel reports.
func (t *Table) send(messages []netlink.Message) error {
	sent, err := t.conn.SendMessages(messages)
	if err != nil {
		return err
	}
	pending := 0
	for _, m := range sent {
		if m.Header.Flags&netlink.Acknowledge != 0 {
			pending++
		}
	}
	var first error
	for pending > 0 {
		got, err := t.conn.Receive()
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded): // an aborted batch leaves messages without a word
			pending = 0
		case err != nil && first == nil:
			first = err
			pending--
			if err := t.conn.SetReadDeadline(time.Now().Add(drainTime)); err != nil {
				return err
			}
		default:
			pending -= max(1, len(got))
		}
	}
	if first != nil {
		return errors.Join(first, t.conn.SetReadDeadline(time.Time{}))
	}
	return first
}
