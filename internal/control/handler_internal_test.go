// SPDX-License-Identifier: Apache-2.0

package control

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/status"
	"github.com/ndproxyd/ndproxyd/pkg/ndp"
)

// stuckDaemon never answers, whatever becomes of the context.
type stuckDaemon struct {
	asked   atomic.Uint32
	release chan struct{}
	recent  ndp.Recent
}

func (d *stuckDaemon) Status(context.Context) status.Status {
	d.asked.Add(1)
	<-d.release
	return status.Status{}
}

func (d *stuckDaemon) Explain(context.Context, netip.Addr) status.Explanation {
	d.asked.Add(1)
	<-d.release
	return status.Explanation{}
}

func (d *stuckDaemon) Feeds() []Feed { return []Feed{{Interface: "eth0", Recent: &d.recent}} }

// pipes is a listener of in-memory connections.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	c, ok := <-p
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}
func (p pipes) Close() error   { return nil }
func (p pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

func (p pipes) client() *Client {
	return NewClientFunc("pipe", func(context.Context) (net.Conn, error) {
		ours, theirs := net.Pipe()
		p <- theirs
		return ours, nil
	})
}

// bubble serves a daemon on pipes, with a clock of its own.
func bubble(t *testing.T, d *stuckDaemon, f func(*Client)) {
	synctest.Test(t, func(t *testing.T) {
		d.release = make(chan struct{})
		ctx, cancel := context.WithCancel(t.Context())
		l := make(pipes)
		done := make(chan error)
		go func() { done <- serveOn(ctx, l, newHandler(d), usual(), slog.New(slog.DiscardHandler)) }()
		f(l.client())
		close(d.release)
		cancel()
		synctest.Wait()
		close(l)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// TestStuckDaemon asks a daemon that never answers: the client hears that, and
// what hangs does not add up.
func TestStuckDaemon(t *testing.T) {
	t.Parallel()
	d := new(stuckDaemon)
	bubble(t, d, func(c *Client) {
		for i := range 3 * maxAnswers {
			begin := time.Now()
			_, err := c.Status(context.Background())
			want, within := "takes too long for an answer", answerTimeout
			if i >= maxAnswers {
				want, within = "as many answers as it can", 0
			}
			if took := time.Since(begin); err == nil || !strings.Contains(err.Error(), want) || took > within {
				t.Fatalf("request %d gets %v after %s, want %q", i, err, took, want)
			}
		}
		if got := d.asked.Load(); got != maxAnswers {
			t.Errorf("the daemon was asked %d times", got)
		}
	})
}

// TestLongWatch watches for longer than any other request may take, beside a
// daemon whose status hangs.
func TestLongWatch(t *testing.T) {
	t.Parallel()
	bubble(t, new(stuckDaemon), func(c *Client) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
		defer cancel()
		err := c.Watch(ctx, status.WatchFilter{}, func(status.WatchEvent) error { return errors.New("an event from nowhere") })
		if err != nil {
			t.Error(err)
		}
	})
}

// exhausted is a listener without free descriptors for the first few calls.
type exhausted struct {
	net.Listener
	left int
}

func (e *exhausted) Accept() (net.Conn, error) {
	if e.left > 0 {
		e.left--
		return nil, &net.OpError{Op: "accept", Net: "unix", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
	}
	return e.Listener.Accept()
}

// TestNoDescriptors accepts connections again once there are descriptors.
func TestNoDescriptors(t *testing.T) {
	t.Parallel()
	address := fmt.Sprintf("@ndproxyd-control-exhausted-%d", os.Getpid())
	l, err := net.Listen("unix", address)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	d := &stuckDaemon{release: make(chan struct{})}
	close(d.release)
	go func() {
		done <- serveOn(ctx, newGate(&exhausted{Listener: l, left: 5}), newHandler(d), timeouts{time.Minute, time.Minute, time.Minute}, slog.New(slog.DiscardHandler))
	}()
	if _, err := NewClient(address).Status(t.Context()); err != nil {
		t.Error(err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// TestFeedReader reads feeds that come and go.
func TestFeedReader(t *testing.T) {
	t.Parallel()
	var a, b ndp.Recent
	r := make(feedReader)
	r.begin([]Feed{{"eth0", &a}})
	if got := r.read([]Feed{{"eth0", &a}, {"eth1", &b}}, status.WatchFilter{}); len(got) != 0 || len(r) != 2 {
		t.Errorf("read %v of %d feeds", got, len(r))
	}
	if r.read([]Feed{{"eth1", &b}}, status.WatchFilter{}); len(r) != 1 {
		t.Errorf("%d feeds are remembered", len(r))
	}
}
