// SPDX-License-Identifier: Apache-2.0

package consume

import (
	"errors"
	"fmt"
	"os"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// tableName is the name of the table in "nft list ruleset".
const tableName = "ndproxyd"

// Why a table cannot be set for as long as nobody changes something else.
var (
	// ErrTaken is that another program has a table of this name, as a second
	// daemon in the network namespace does.
	ErrTaken = errors.New("another program has a table of this name")
	// ErrUnsupported is that the kernel cannot do it.
	ErrUnsupported = errors.New("consume_unicast needs Linux 5.12 with nftables, as drop_loops does")
)

// Table is the table, which lives as long as its socket.
type Table struct {
	conn *nftables.Conn
	made bool
}

// Open opens the socket of a table that does nothing yet.
func Open() (*Table, error) {
	c, err := nftables.New(nftables.AsLasting(), nftables.WithSockOptions(prepare))
	if err != nil {
		return nil, fmt.Errorf("open nftables socket: %w", err)
	}
	return &Table{conn: c}, nil
}

// The kernel takes a whole transaction as one message, which has to fit the
// buffer of the sender, and queues at most one error for each of its parts.
// Neither buffer is allocated in advance.
const (
	sendBuffer    = 16 << 20
	receiveBuffer = 1 << 20
)

// maxDescriptor is FD_SETSIZE of select(2): google/nftables waits for answers with
// that, and panics beyond.
const maxDescriptor = 1024

// prepare sets the socket up.
func prepare(c *netlink.Conn) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var descriptor uintptr
	if err := raw.Control(func(fd uintptr) { descriptor = fd }); err != nil {
		return err
	}
	if descriptor >= maxDescriptor {
		err = fmt.Errorf("%w: the socket would be number %d", unix.EMFILE, descriptor)
	} else {
		err = errors.Join(c.SetWriteBuffer(sendBuffer), c.SetReadBuffer(receiveBuffer))
	}
	if err != nil { // the caller of prepare forgets to
		return errors.Join(err, c.Close())
	}
	return nil
}

// Close removes the table.
func (t *Table) Close() error { return t.conn.CloseLasting() }

// Set replaces all that the table does, in one transaction. After an error the
// table may be the old one or the new one, or not be there: close it and open
// another. The errors are [ErrTaken], [ErrUnsupported], [os.ErrPermission] without
// CAP_NET_ADMIN, and what else the kernel reports.
func (t *Table) Set(uplinks []Uplink) error {
	if err := t.build(uplinks); err != nil {
		return fmt.Errorf("build nftables table %s: %w", tableName, err)
	}
	if err := t.conn.Flush(); err != nil {
		return fmt.Errorf("set nftables table %s: %w", tableName, t.explain(err))
	}
	t.made = true
	return nil
}

// explain returns an error that says what to do about err.
func (t *Table) explain(err error) error {
	switch {
	case errors.Is(err, os.ErrExist):
		return fmt.Errorf("%w: %w", ErrTaken, err)
	case errors.Is(err, os.ErrPermission):
		// The kernel reports another socket's table in the same words. That one
		// may be gone soon, so it is not a matter of privilege.
		if tables, listed := t.conn.ListTablesOfFamily(nftables.TableFamilyIPv6); listed == nil {
			for _, other := range tables {
				if other.Name == tableName {
					return ErrTaken
				}
			}
		}
		return fmt.Errorf("%w (consume_unicast needs the capability CAP_NET_ADMIN, as drop_loops does)", err)
	case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EINVAL):
		return fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	return err
}
