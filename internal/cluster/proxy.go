// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"
)

const (
	// proxyEvery is how often the service proxy is asked, and proxyMisses how often
	// in a row it may fail.
	proxyEvery, proxyMisses = 2 * time.Second, 3
	// maxProxyAnswer bounds what is read of an answer, in octets.
	maxProxyAnswer = 1 << 16
)

// proxyState tells whether the service proxy of this node works. One that never was
// well is another kind of proxy, or none, and says nothing.
type proxyState struct {
	seen   bool // it was well once
	misses int  // failures in a row
	fault  string
}

// observe takes in why the proxy is not well, "" where it is, and returns the fault
// that counts.
func (p *proxyState) observe(fault string) string {
	switch {
	case fault == "":
		p.seen, p.misses, p.fault = true, 0, ""
	case p.seen:
		if p.misses++; p.misses >= proxyMisses {
			p.fault = fault
		}
	}
	return p.fault
}

// followProxy asks the service proxy until ctx ends, and tells of each answer why it
// is not well, "" where it is.
func followProxy(ctx context.Context, url string, answered func(fault string)) {
	client := http.Client{Timeout: proxyEvery / 2, Transport: &http.Transport{DisableKeepAlives: true}}
	tick := time.NewTicker(proxyEvery)
	defer tick.Stop()
	for {
		fault := askProxy(ctx, &client, url)
		if ctx.Err() != nil {
			return
		}
		answered(fault)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// askProxy returns why the service proxy is not well, "" where it is.
func askProxy(ctx context.Context, client *http.Client, url string) string {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err.Error()
	}
	resp, err := client.Do(req)
	if err != nil {
		return "service proxy: " + err.Error()
	}
	defer resp.Body.Close() //nolint:errcheck // it was read
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxProxyAnswer))
	if resp.StatusCode != http.StatusOK {
		return fmt.Sprintf("service proxy: %s says %s", url, resp.Status)
	}
	return ""
}
