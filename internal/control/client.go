// SPDX-License-Identifier: Apache-2.0

package control

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"

	"github.com/ndproxyd/ndproxyd/internal/process"
	"github.com/ndproxyd/ndproxyd/internal/status"
)

// Client asks a running daemon over its control socket. It may be used by
// several goroutines at once.
type Client struct {
	address string
	http    http.Client
}

// NewClient returns a client for the control socket with that address. Any user
// can bind an abstract one, so behind such an address the client believes only a
// process that may be a daemon.
func NewClient(address string) *Client {
	return NewClientFunc(address, func(ctx context.Context) (net.Conn, error) { return Dial(ctx, address) })
}

// Dial connects to the control socket with that address, an abstract one in the network
// namespace of the calling thread, as a client of [NewClient] does.
func Dial(ctx context.Context, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", address)
	if err != nil || !strings.HasPrefix(address, "@") {
		return conn, err
	}
	if err := process.CheckDaemon(conn.(*net.UnixConn)); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// NewClientFunc returns a client that reaches the control socket by dial, for
// callers in another network namespace. The address is for messages.
func NewClientFunc(address string, dial func(context.Context) (net.Conn, error)) *Client {
	return &Client{address: address, http: http.Client{
		Timeout: exchangeTimeout,
		Transport: &http.Transport{
			DisableKeepAlives: true,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return dial(ctx)
			},
		},
	}}
}

// Status returns the daemon's status.
func (c *Client) Status(ctx context.Context) (status.Status, error) {
	var s status.Status
	return s, c.get(ctx, "/status", &s)
}

// Explain returns what the daemon does with a solicitation for the target.
func (c *Client) Explain(ctx context.Context, target netip.Addr) (status.Explanation, error) {
	var e status.Explanation
	return e, c.get(ctx, "/explain/"+url.PathEscape(target.String()), &e)
}

// Watch calls f for every solicitation that the filter matches, until ctx ends,
// when it returns nil, or f returns an error, which it returns then.
func (c *Client) Watch(ctx context.Context, filter status.WatchFilter, f func(status.WatchEvent) error) error {
	q := url.Values{"reason": {filter.Reason}, "interface": {filter.Interface}}
	if filter.Prefix.IsValid() {
		q.Set("prefix", filter.Prefix.String())
	}
	streaming := c.http // the answer ends with the watch
	streaming.Timeout = 0
	resp, err := c.request(ctx, &streaming, "/watch?"+q.Encode())
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // nothing was written
	d := json.NewDecoder(resp.Body)
	for {
		var e status.WatchEvent
		switch err := d.Decode(&e); {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return errors.New("the daemon has ended")
		case err != nil:
			return fmt.Errorf("read the daemon's answer: %w", err)
		}
		if err := f(e); err != nil {
			return err
		}
	}
}

func (c *Client) get(ctx context.Context, path string, into any) error {
	resp, err := c.request(ctx, &c.http, path)
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // nothing was written
	if err := json.NewDecoder(resp.Body).Decode(into); err != nil {
		return fmt.Errorf("read the daemon's answer: %w", err)
	}
	return nil
}

// request asks for a page, and returns an error with the daemon's words for every
// answer but 200.
func (c *Client) request(ctx context.Context, client *http.Client, path string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://ndproxyd"+path, nil)
	if err != nil {
		return nil, fmt.Errorf("ask daemon: %w", err)
	}
	resp, err := client.Do(req)
	switch {
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENOENT):
		return nil, fmt.Errorf("no daemon serves %s in this network namespace: start one with \"ndproxyd run\", or name its socket with --control", c.address)
	case err != nil:
		return nil, fmt.Errorf("ask daemon: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		const longestReason = 1 << 10 // bytes
		text, _ := io.ReadAll(io.LimitReader(resp.Body, longestReason))
		return nil, errors.Join(fmt.Errorf("ask daemon: %s", strings.TrimSpace(string(text))), resp.Body.Close())
	}
	return resp, nil
}
