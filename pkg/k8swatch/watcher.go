// SPDX-License-Identifier: Apache-2.0

package k8swatch

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/klog/v2"
)

// linksTime is how long the start waits for a link that leases are chosen by.
const linksTime = 3 * time.Second

// Watcher follows the API server.
type Watcher struct {
	client  *Client
	config  Config
	handler Handler
	renew   chan struct{}
	begun   chan struct{} // closed when the lease may be written
	once    sync.Once
	events  *eventWriter
	archive *archive
	calls   *calls
	scopes  *scopes
	// withdrawn is true while our lease is to be given back.
	withdrawn atomic.Bool

	mu      sync.Mutex // what the handler is called with
	sources []*health
	pods    *kept[Pod]
	ran     map[string]bool // UIDs of pods whose virtual machine has run here
	// awaited is what Handler.Awaited was called with last, if it was.
	awaited, awaitedKnown bool
	node                  *kept[nodeFacts]
	blocks                []*kept[netip.Prefix]
	anyBlock              *kept[bool] // what calicoResources have an object of, whoever's it is
	// lookedForBlocks are the groups of calicoResources that were asked for one.
	lookedForBlocks map[string]bool
	ciliumNode      *kept[[]netip.Prefix]
	prefixes        bool // handed over once
	// reconsidering is true while the sources of prefixes will be compared again.
	reconsidering             bool
	newestBlock, newestCilium newest
	services                  *kept[Service]
	slices                    *kept[endpoints]
	sliceOf                   map[string]string // service of each slice
	cidrs                     *kept[[]netip.Prefix]
	leases                    *kept[Lease]
	seenLeases                map[string]Lease
	allocated                 *allocated
	nodeEvents                chan struct{}
	dirty                     bool                // what is kept has changed since the snapshot was written
	addresses                 *kept[[]netip.Addr] // of all Nodes

	seenAddresses map[string][]netip.Addr
	proxy         string        // that was seen to be well, see ProxySeen
	nameDoubts    chan struct{} // the name of this node is to be looked at
	absent        bool          // the cluster has no Node of this name
	alike         []string      // its Nodes with names like it

	stopSlices context.CancelFunc
	ending     sync.WaitGroup  // what has to be done in the end
	ctx        context.Context //nolint:containedctx // of Run, for sources that begin later
}

// New makes a watcher. Run does the work.
func New(client *Client, config Config, handler Handler) *Watcher {
	w := &Watcher{
		client: client, config: config, handler: handler, renew: make(chan struct{}, 1), begun: make(chan struct{}),
		sliceOf: make(map[string]string), seenLeases: make(map[string]Lease), seenAddresses: make(map[string][]netip.Addr), lookedForBlocks: make(map[string]bool), nodeEvents: make(chan struct{}), nameDoubts: make(chan struct{}, 1),
	}
	w.events, w.archive, w.calls = newEventWriter(client, config, w.nodeUID), &archive{w: w}, newCalls(w)
	w.scopes = newScopes(w)
	w.pods = newKept(&w.mu, newHealth(config.Log, SourcePods), readPod, func([]string) { w.podsChanged() })
	w.node = newKept(&w.mu, newHealth(config.Log, SourceNodes), readNode, func([]string) { w.nodeChanged() })
	w.services = newKept(&w.mu, newHealth(config.Log, SourceServices), readService(config.Selection), w.servicesChanged)
	w.slices = newKept(&w.mu, newHealth(config.Log, SourceEndpointSlices), readSlice, w.slicesChanged)
	w.cidrs = newKept(&w.mu, newHealth(config.Log, SourceServiceCIDRs), readServiceCIDR, func([]string) { w.cidrsChanged() })
	w.leases = newKept(&w.mu, newHealth(config.Log, SourceLeases), readLease, w.leasesChanged)
	w.addresses = newKept(&w.mu, newHealth(config.Log, SourceNodeAddresses), readNodeAddresses, w.addressesChanged)
	w.addresses.health.failed = w.apart(w.servicesKnown) // answers do not wait for what may not be read
	w.tellPermissions(w.pods.health)
	w.tellPermissions(w.node.health, w.prefixesChanged)
	w.tellPermissions(w.services.health)
	w.tellPermissions(w.addresses.health, w.servicesKnown)
	w.tellPermissions(w.slices.health, w.servicesKnown)
	w.tellPermissions(w.leases.health)
	w.tellPermissions(w.cidrs.health)
	w.slices.health.failed = w.apart(w.servicesKnown)
	w.node.health.failed = func() {
		w.lookAtName()
		w.apart(w.prefixesChanged)()
	}
	w.allocated = newAllocated(w.services.objects, w.slices.objects)
	for _, b := range blockSources(config.Node) {
		w.blocks = append(w.blocks, newKept(&w.mu, newHealth(config.Log, b.String()), readBlock(config.Node, &w.newestBlock), func([]string) { w.prefixesChanged() }))
	}
	w.anyBlock = newKept(&w.mu, newHealth(config.Log, "blockaffinities of any node"), func(any) (bool, bool) { return true, true }, func([]string) { w.prefixesChanged() })
	w.ciliumNode = newKept(&w.mu, newHealth(config.Log, name(ciliumResource())), readCiliumNode(&w.newestCilium), func([]string) { w.prefixesChanged() })
	for _, h := range w.networkHealth() {
		h.forbidden = w.apart(w.prefixesChanged) // what to make of it is decided there
	}
	return w
}

// networkHealth returns that of the network plugins' objects.
func (w *Watcher) networkHealth() []*health {
	all := []*health{w.ciliumNode.health, w.anyBlock.health}
	for _, b := range w.blocks {
		all = append(all, b.health)
	}
	return all
}

// tellPermissions has the handler hear when the permission for a source counts as
// missing, and when it no longer does. then are called after the former, with the lock
// held.
func (w *Watcher) tellPermissions(h *health, then ...func()) {
	source := h.status.Source
	h.forbidden = func() {
		w.handler.Forbidden(source, true)
		w.apart(func() {
			w.dirty = true // the snapshot has it
			for _, f := range then {
				f()
			}
		})()
	}
	h.permitted = func() { w.handler.Forbidden(source, false) }
}

func name(r schema.GroupVersionResource) string { return r.GroupResource().String() }

// Run follows the server until ctx ends. What the snapshot has is handed over
// first.
func (w *Watcher) Run(ctx context.Context) {
	// Reflectors sleep through the end of their context while the server is away,
	// up to a minute. Nobody waits for them.
	defer w.ending.Wait()
	ctx = klog.NewContext(ctx, logr.Discard()) // the sources' health says it once
	w.mu.Lock()
	w.ctx = ctx
	w.mu.Unlock()
	w.archive.restore()
	api, n := w.client.typed, w.config.Needs
	if n.node() {
		w.begin(w.node.health, func() {
			follow(ctx, w.node.health, api.nodes(), selection{fields: "metadata.name=" + w.config.Node}, &corev1.Node{}, w.node, false)
		})
	}
	if n.pods() {
		w.begin(w.pods.health, func() {
			follow(ctx, w.pods.health, api.pods(), selection{fields: "spec.nodeName=" + w.config.Node}, &corev1.Pod{}, w.pods, false)
		})
	}
	if w.config.asks(keyCalico) {
		for i, b := range blockSources(w.config.Node) {
			w.begin(w.blocks[i].health, func() { w.followBlocks(ctx, b, w.blocks[i]) })
		}
	}
	if w.config.choosesSource() {
		for _, r := range calicoResources() {
			go w.lookForBlocks(ctx, r)
		}
	}
	if w.config.asks(keyCilium) {
		w.begin(w.ciliumNode.health, func() { w.followCiliumNode(ctx) })
	}
	switch {
	case n.Leases:
		w.ending.Go(func() { w.announce(ctx) })
	case n.Services:
		w.followServices(ctx)
	}
	if n.ServiceCIDRs {
		w.begin(w.cidrs.health, func() { w.followServiceCIDRs(ctx) })
	}
	w.ending.Go(func() { w.events.run(ctx) })
	w.ending.Go(func() { w.checkName(ctx) })
	if w.config.Snapshot != "" {
		w.ending.Go(func() { w.archive.run(ctx) })
	}
	<-ctx.Done()
}

func (w *Watcher) followServices(ctx context.Context) {
	w.followNodeAddresses(ctx)
	w.begin(w.services.health, func() {
		follow(ctx, w.services.health, w.client.typed.services(), selection{}, &corev1.Service{}, w.services, false)
	})
}

// announce waits for a seat, follows what an announcer has to know, and keeps its
// lease.
func (w *Watcher) announce(ctx context.Context) {
	k := &keeper{w: w, holder: w.config.Holder, health: newHealth(w.config.Log, SourceOwnLease)}
	w.tellPermissions(k.health)
	if !w.services.known() {
		w.awaitLinks(ctx)
	}
	written, ok := w.standBy(ctx, k)
	if !ok {
		return
	}
	k.wrote = true // by this process, in this watcher or the one before
	if written {   // it has to be kept while services are read
		w.Announce()
	}
	w.ending.Go(func() { w.calls.run(ctx) })
	w.followServices(ctx)
	w.begin(w.leases.health, func() { w.scopes.run(ctx) })
	k.run(ctx)
}

// awaitLinks waits for a link and its on-link prefix, but not for long: others tell by it
// which leases concern them, and a node that may be on any link concerns all.
func (w *Watcher) awaitLinks(ctx context.Context) {
	late := time.NewTimer(linksTime)
	defer late.Stop()
	for links := w.handler.Links(); links.none() || links.Early; links = w.handler.Links() {
		select {
		case <-ctx.Done():
			return
		case <-late.C:
			return
		case <-w.scopes.posted:
		}
	}
}

// begin runs a source, and shows it.
func (w *Watcher) begin(h *health, f func()) {
	w.show(h)
	go f()
}

func (w *Watcher) show(h *health) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.Contains(w.sources, h) {
		w.sources = append(w.sources, h)
	}
}

func (w *Watcher) hide(h *health) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sources = slices.DeleteFunc(w.sources, func(shown *health) bool { return shown == h })
}

// Status tells how each source fares, in the order in which they began. It waits for
// the handler to return.
func (w *Watcher) Status() []SourceStatus {
	w.mu.Lock()
	sources := slices.Clone(w.sources)
	w.mu.Unlock()
	out := make([]SourceStatus, len(sources))
	for i, h := range sources {
		out[i] = h.get()
	}
	return out
}

// Waits returns what neither the server nor the snapshot has told yet of this node. Of
// services and leases Known tells. It waits for the handler to return.
func (w *Watcher) Waits() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var waits []string
	n := w.config.Needs
	wait := func(needed bool, h *health) {
		switch {
		case !needed || h.known():
		case h.get().Forbidden:
			waits = append(waits, h.get().Source+" (forbidden)")
		default:
			waits = append(waits, h.get().Source)
		}
	}
	if w.absent {
		waits = append(waits, w.absence())
	} else {
		wait(n.Prefixes || n.Services, w.node.health)
	}
	wait(n.pods(), w.pods.health)
	if n.Prefixes && !w.prefixes {
		waits = append(waits, "prefixes of this node") // by whichever source
	}
	wait(n.ServiceCIDRs, w.cidrs.health)
	return waits
}

// Server returns the URL of the API server.
func (w *Watcher) Server() string { return w.client.Server }

// Uses reports whether the watcher asks the same server with the same account.
func (w *Watcher) Uses(c *Client) bool { return w.client.identity == c.identity }

// Renew has the lease written soon, as its record has changed. It does not block, and
// any goroutine may call it.
func (w *Watcher) Renew() {
	select {
	case w.renew <- struct{}{}:
	default:
	}
}

// Announce has the lease written from now on. It does not block, and any goroutine may
// call it, more than once.
func (w *Watcher) Announce() {
	w.once.Do(func() { close(w.begun) })
	if w.withdrawn.Swap(false) {
		w.Renew()
	}
}

// Withdraw has the lease deleted, and not written until the next Announce. It does not
// block, and any goroutine may call it.
func (w *Watcher) Withdraw() {
	w.withdrawn.Store(true)
	w.Renew()
}

// Follows reports whether the last request for the leases of others has succeeded. It
// takes no lock that the handler is called with.
func (w *Watcher) Follows() bool { return !w.leases.health.failing() }

// ProxySeen notes that the service proxy with that URL was well, so that the next process
// knows it: one that is then gone is a fault, and not another kind of proxy. It waits
// for the handler to return.
func (w *Watcher) ProxySeen(url string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dirty = w.dirty || w.proxy != url
	w.proxy = url
}

// Emit has an Event written, or drops it if too many wait. It does not block, and any
// goroutine may call it.
func (w *Watcher) Emit(e Event) { w.events.emit(e) }
