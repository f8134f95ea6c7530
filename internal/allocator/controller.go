// SPDX-License-Identifier: Apache-2.0

package allocator

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/client-go/util/workqueue"

	"github.com/ndproxyd/ndproxyd/internal/pools"
)

// callTimeout bounds a request to the API server.
const callTimeout = 10 * time.Second

// nodesKey stands in the queue for a change of the nodes.
const nodesKey = "nodes"

// controller assigns addresses. One goroutine calls reconcile.
type controller struct {
	config   *Config
	client   corev1client.ServicesGetter
	events   record.EventRecorder
	log      *slog.Logger
	metrics  *metrics
	services cache.Store
	nodes    cache.Store
	queue    workqueue.TypedRateLimitingInterface[string]
	table    *pools.Table
	without  map[string]string // services that get no address, and why
}

// newController makes one with an empty table.
func newController(config *Config, client corev1client.ServicesGetter, events record.EventRecorder, m *metrics, log *slog.Logger) *controller {
	return &controller{
		config: config, client: client, events: events, log: log, metrics: m,
		queue: workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[string]()),
		table: pools.NewTable(config.Pools), without: make(map[string]string),
	}
}

// lead assigns addresses until ctx ends.
func (c *controller) lead(ctx context.Context, client kubernetes.Interface) error {
	ctx, stop := context.WithCancel(ctx)
	factory := informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithTransform(trim))
	services, nodes := factory.Core().V1().Services().Informer(), factory.Core().V1().Nodes().Informer()
	c.services, c.nodes = services.GetStore(), nodes.GetStore()
	defer c.queue.ShutDown()
	factory.Start(ctx.Done())
	defer func() {
		stop()
		factory.Shutdown()
	}()
	if !cache.WaitForCacheSync(ctx.Done(), services.HasSynced, nodes.HasSynced) {
		return ctx.Err()
	}
	c.readNodes()
	c.begin(ctx)
	add := func(object any) {
		if key, err := cache.DeletionHandlingMetaNamespaceKeyFunc(object); err == nil {
			c.queue.Add(key)
		}
	}
	if _, err := services.AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: add, UpdateFunc: func(_, o any) { add(o) }, DeleteFunc: add}); err != nil {
		return fmt.Errorf("follow services: %w", err)
	}
	changed := func(any) { c.queue.Add(nodesKey) }
	if _, err := nodes.AddEventHandler(cache.ResourceEventHandlerFuncs{AddFunc: changed, UpdateFunc: func(_, o any) { changed(o) }, DeleteFunc: changed}); err != nil {
		return fmt.Errorf("follow nodes: %w", err)
	}
	go func() {
		<-ctx.Done()
		c.queue.ShutDown()
	}()
	for {
		key, down := c.queue.Get()
		if down {
			return ctx.Err()
		}
		c.turn(ctx, key)
		c.queue.Done(key)
		if c.queue.Len() == 0 { // counting takes longer than most of what is done at once
			c.metrics.show(c.table.Used(), len(c.without))
		}
	}
}

// turn reconciles one service, and has it tried again where that failed.
func (c *controller) turn(ctx context.Context, key string) {
	err := c.reconcile(ctx, key)
	if err == nil {
		c.queue.Forget(key)
		return
	}
	if !apierrors.IsConflict(err) && !apierrors.IsNotFound(err) { // the cache is behind, and soon tells what has changed
		c.log.Warn("assigning an address failed: it is tried again", "service", key, "err", err)
	}
	c.queue.AddRateLimited(key)
}

// begin takes the services over that there are: who has an address keeps it, and of two
// with the same one the older. Only then the others get theirs.
func (c *controller) begin(ctx context.Context) {
	var all []*corev1.Service
	for _, o := range c.services.List() {
		if s, ok := o.(*corev1.Service); ok {
			all = append(all, s)
		}
	}
	slices.SortFunc(all, func(a, b *corev1.Service) int {
		return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(keyOf(a), keyOf(b)))
	})
	for _, s := range all {
		if r, err := request(s); err == nil && c.config.counts(s) {
			c.table.Keep(r)
		}
	}
	for _, s := range all {
		c.turn(ctx, keyOf(s))
	}
	c.metrics.show(c.table.Used(), len(c.without))
	c.log.Info("assigning addresses", "services", len(all), "class", c.config.Class, "without_class", c.config.WithoutClass)
}

// reconcile brings one service into line with what it asks for.
func (c *controller) reconcile(ctx context.Context, key string) error {
	if key == nodesKey {
		if c.readNodes() { // a node may have the address of a service now, or no longer
			for _, key := range c.services.ListKeys() {
				c.queue.Add(key)
			}
		}
		return nil
	}
	object, exists, err := c.services.GetByKey(key)
	if err != nil {
		return err
	}
	s, ok := object.(*corev1.Service)
	if !exists || !ok {
		c.release(key)
		return nil
	}
	if !c.config.counts(s) {
		if !c.release(key) || s.Spec.Type == corev1.ServiceTypeLoadBalancer { // another class's controller writes it now
			return nil
		}
		return c.write(ctx, s, nil)
	}
	// One that is being deleted keeps its address until it is gone: its packets still come.
	if s.DeletionTimestamp != nil {
		return nil
	}
	had, held := assigned(s), c.table.Holds(key)
	r, err := request(s)
	var got []netip.Addr
	if err == nil {
		got, err = c.table.Assign(r)
	} else {
		c.table.Release(key)
	}
	if err != nil {
		c.refuse(s, err)
		if held { // what it had is free now
			c.retry()
		}
		return c.write(ctx, s, nil)
	}
	delete(c.without, key)
	if err := c.write(ctx, s, got); err != nil {
		return err
	}
	if !slices.Equal(had, got) {
		c.log.Info("assigned an address", "service", key, "address", got[0])
		c.events.Eventf(s, corev1.EventTypeNormal, "AddressAssigned", "Assigned %s.", words(got))
		if s.Spec.LoadBalancerIP != "" && len(r.Wanted) == 0 {
			c.events.Eventf(s, corev1.EventTypeWarning, "LoadBalancerIPIgnored",
				"spec.loadBalancerIP is deprecated and does not count: ask for an address by the annotation %s.", addressesAnnotation)
		}
		if len(had) > 0 {
			c.retry()
		}
	}
	return nil
}

// refuse tells why a service gets no address, once for each reason.
func (c *controller) refuse(s *corev1.Service, err error) {
	key := keyOf(s)
	if c.without[key] == err.Error() {
		return
	}
	c.without[key] = err.Error()
	c.log.Warn("a service gets no address", "service", key, "err", err)
	c.events.Eventf(s, corev1.EventTypeWarning, "AddressNotAssigned", "No address was assigned: %v.", err)
}

// write puts addresses into a service's status, if they are others than there are. Where
// the service has changed meanwhile, or is gone, that is an error, and nothing is written.
func (c *controller) write(ctx context.Context, s *corev1.Service, as []netip.Addr) error {
	next := withAddresses(s, as)
	if next == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if _, err := c.client.Services(s.Namespace).UpdateStatus(ctx, next, metav1.UpdateOptions{}); err != nil {
		return fmt.Errorf("write status: %w", err)
	}
	return nil
}

// release takes the addresses of a service back.
func (c *controller) release(key string) bool {
	delete(c.without, key)
	had := c.table.Release(key)
	if had {
		c.retry()
	}
	return had
}

// retry has services tried again that have no address: one may have become free.
func (c *controller) retry() {
	for key := range c.without {
		c.queue.AddAfter(key, time.Second) // several are released at once, often
	}
}

// readNodes takes the addresses of nodes over, and reports whether they have changed.
func (c *controller) readNodes() bool {
	nodes := make(map[netip.Addr]string)
	for _, o := range c.nodes.List() {
		if n, ok := o.(*corev1.Node); ok {
			for _, a := range nodeAddresses(n) {
				nodes[a] = n.Name
			}
		}
	}
	return c.table.SetNodes(nodes)
}

// trim drops what nobody reads here from what the cache keeps.
func trim(object any) (any, error) {
	switch o := object.(type) {
	case *corev1.Service:
		o.ManagedFields = nil
	case *corev1.Node:
		return &corev1.Node{
			ObjectMeta: metav1.ObjectMeta{Name: o.Name, UID: o.UID, ResourceVersion: o.ResourceVersion},
			Status:     corev1.NodeStatus{Addresses: o.Status.Addresses},
		}, nil
	}
	return object, nil
}

func keyOf(s *corev1.Service) string { return s.Namespace + "/" + s.Name }

func words(as []netip.Addr) string {
	texts := make([]string, len(as))
	for i, a := range as {
		texts[i] = a.String()
	}
	return strings.Join(texts, ", ")
}
