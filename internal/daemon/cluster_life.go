// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/ndproxyd/ndproxyd/internal/config"
	"github.com/ndproxyd/ndproxyd/internal/ownership"
	"github.com/ndproxyd/ndproxyd/pkg/k8swatch"
)

const (
	// proxyEvery is how often the service proxy is asked, proxyMisses how often
	// in a row it may fail.
	proxyEvery, proxyMisses = 2 * time.Second, 3
)

// mayNot reports whether a request failed for want of a permission.
func mayNot(err error) bool { return apierrors.IsForbidden(err) }

// connect makes the client of a configuration, nil where it has no cluster.
func connect(c *config.Config, v Version) (*k8swatch.Client, error) {
	if needsOf(c) == (k8swatch.Needs{}) { // as in a pod whose rules need no cluster
		return nil, nil
	}
	return dial(c, v)
}

// dial makes a client of the configuration's server and account.
func dial(c *config.Config, v Version) (*k8swatch.Client, error) {
	client, err := k8swatch.Connect(c.Kubernetes.Kubeconfig, c.Kubernetes.Server, "ndproxyd/"+v.Version)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKubernetes, err)
	}
	return client, nil
}

// setCluster makes the supervisor follow the cluster of a configuration from now
// on. The goroutine of followClusters stops the old watcher and starts the new.
func (d *daemon) setCluster(c *config.Config, client *k8swatch.Client) {
	s := d.supervisor
	s.mu.Lock()
	defer s.mu.Unlock()
	if client == nil {
		if s.cluster != nil {
			s.cluster = nil
			s.forgetCluster()
			s.report(s.settle(false))
			d.renewCluster()
		}
		return
	}
	needs := needsOf(c)
	if s.cluster != nil && s.cluster.config.Equal(c.Kubernetes) && s.cluster.needs == needs && s.cluster.watcher.Uses(client) {
		return
	}
	next := newCluster(s, c.Kubernetes, needs, d.holder)
	next.follow = d.renewCluster
	next.client, next.watch = client, k8swatch.Config{
		Node: c.Kubernetes.Node, Namespace: c.Kubernetes.Namespace, Needs: needs, Snapshot: c.Kubernetes.Snapshot,
		Holder: d.holder, Log: d.log, Selection: selectionOf(c.Kubernetes.Services),
	}
	next.watcher = k8swatch.New(client, next.watch, next.handler())
	if s.cluster != nil {
		next.inherit(s.cluster)
	}
	s.cluster = next
	s.report(s.settle(false))
	d.renewCluster()
}

func selectionOf(s config.ServiceSelection) k8swatch.Selection {
	out := k8swatch.Selection{Selector: s.Selector, Classes: s.Classes}
	for _, kind := range s.Kinds {
		out.Kinds = append(out.Kinds, k8swatch.ServiceKind(kind))
	}
	return out
}

func (d *daemon) renewCluster() {
	select {
	case d.clusters <- struct{}{}:
	default:
	}
}

// followClusters runs the watcher of the present configuration until ctx ends.
func (d *daemon) followClusters(ctx context.Context) error {
	var running *cluster
	stop, done := func(error) {}, make(chan struct{})
	close(done)
	for {
		select {
		case <-ctx.Done():
			stop(ctx.Err())
			<-done
			d.handOver(running)
			return nil
		case <-d.clusters:
		}
		next := d.nextCluster()
		if next == running {
			continue
		}
		stop(next.replaces(running))
		<-done
		if next != nil && next.standby && ctx.Err() == nil {
			d.leaveAddresses(ctx)
		}
		running = next
		if running == nil {
			stop = func(error) {}
			continue
		}
		var inner context.Context
		inner, stop = context.WithCancelCause(ctx)
		done = make(chan struct{})
		go func(done chan struct{}) {
			defer close(done)
			if running.config.ProxyHealth != "" && running.needs.Services {
				go running.followProxy(inner)
			}
			running.watcher.Run(inner)
		}(done)
	}
}

// nextCluster returns the cluster that is to be followed, nil for none.
func (d *daemon) nextCluster() *cluster {
	s := d.supervisor
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cluster != nil && s.cluster.spare {
		s.cluster = d.standDown(s.cluster)
		s.cluster.showPresence()
	}
	return s.cluster
}

// replaces returns the cause with which the watcher of a cluster ends: the lease
// is left to the next one, or given back where that has none.
func (c *cluster) replaces(old *cluster) error {
	if c != nil && old != nil && c.needs.Leases && !c.standby && c.config.Node == old.config.Node && c.config.Namespace == old.config.Namespace {
		return k8swatch.ErrReplaced
	}
	return context.Canceled
}

// handOver lets others take our service addresses over before we fall silent.
func (d *daemon) handOver(c *cluster) {
	if c == nil {
		return
	}
	c.owner.mu.Lock()
	s := c.election.Status(time.Now())
	c.owner.mu.Unlock()
	if s.Owned > 0 && s.Announcers > 1 {
		time.Sleep(ownership.HandOver)
	}
}

// followProxy asks the service proxy whether it is well. One that never was is
// another kind of proxy, or none.
func (c *cluster) followProxy(ctx context.Context) {
	client := http.Client{Timeout: proxyEvery / 2, Transport: &http.Transport{DisableKeepAlives: true}}
	tick := time.NewTicker(proxyEvery)
	defer tick.Stop()
	seen, misses := false, 0
	for {
		fault := proxyFault(ctx, &client, c.config.ProxyHealth)
		switch {
		case ctx.Err() != nil:
			return
		case fault == "":
			seen, misses = true, 0
		default:
			misses++
		}
		if !seen || misses > 0 && misses < proxyMisses {
			fault = ""
			if misses > 0 && seen { // not yet
				fault = c.proxyFaultNow()
			}
		}
		c.setProxyFault(fault)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (c *cluster) proxyFaultNow() string {
	c.owner.mu.Lock()
	defer c.owner.mu.Unlock()
	return c.proxyFault
}

func (c *cluster) setProxyFault(fault string) {
	if c.proxyFaultNow() == fault {
		return
	}
	if fault != "" {
		c.owner.log.Warn("the service proxy is not well: other nodes go first for service addresses", "why", fault)
	} else {
		c.owner.log.Info("the service proxy is well again")
	}
	c.locked(func(now time.Time) {
		c.proxyFault = fault
		c.setSelf(now)
	})
}

// proxyFault returns why the service proxy is not well, "" where it is.
func proxyFault(ctx context.Context, client *http.Client, url string) string {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err.Error()
	}
	resp, err := client.Do(req)
	if err != nil {
		return "service proxy: " + err.Error()
	}
	defer resp.Body.Close() //nolint:errcheck // it was read
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<16))
	if resp.StatusCode != http.StatusOK {
		return fmt.Sprintf("service proxy: %s says %s", url, resp.Status)
	}
	return ""
}
