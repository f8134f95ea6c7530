// SPDX-License-Identifier: Apache-2.0

package allocator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/client-go/tools/record"
	"k8s.io/klog/v2"
)

// The times of leader election: those that Kubernetes' own controllers use.
const (
	leaseDuration = 15 * time.Second
	renewDeadline = 10 * time.Second
	retryPeriod   = 2 * time.Second
)

// LeaseName is the lease by which one process leads. A name with a hyphen would be that of
// the daemon on a node called allocator.
const LeaseName = "ndproxyd.allocator"

// readTimeout bounds how long a client of the health page may take for its question.
const readTimeout = 5 * time.Second

// Options say how a process runs.
type Options struct {
	Config *Config
	// REST is how the API server is reached. Namespace has the lease, and Identity names
	// this process among those that may lead.
	REST                *rest.Config
	Namespace, Identity string
	// Health and Metrics are where those are served, "" for nowhere.
	Health, Metrics string
	Log             *slog.Logger
}

// ErrLost is returned by Run when the lease could not be renewed in time, so that another
// process may have taken it: this one is to be started again, as nobody can tell what it
// has missed.
var ErrLost = errors.New("the lease was lost: another process may lead now")

// Run assigns addresses while this process leads, until ctx ends.
func Run(ctx context.Context, o Options) error {
	ctx = klog.NewContext(ctx, logr.FromSlogHandler(o.Log.Handler()))
	client, err := kubernetes.NewForConfig(o.REST)
	if err != nil {
		return fmt.Errorf("make client: %w", err)
	}
	m := newMetrics()
	healthy := leaderelection.NewLeaderHealthzAdaptor(leaseDuration)
	if err := serve(ctx, o, m, healthy); err != nil {
		return err
	}
	events := record.NewBroadcaster(record.WithContext(ctx))
	defer events.Shutdown()
	events.StartRecordingToSink(&corev1client.EventSinkImpl{Interface: client.CoreV1().Events("")})
	recorder := events.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "ndproxyd-allocator"})

	lock, err := resourcelock.New(resourcelock.LeasesResourceLock, o.Namespace, LeaseName,
		client.CoreV1(), client.CoordinationV1(), resourcelock.ResourceLockConfig{Identity: o.Identity})
	if err != nil {
		return fmt.Errorf("make lease: %w", err)
	}
	// The election goes on until nothing is assigned any more: the lease that it releases
	// then is another process's at once.
	election, end := context.WithCancelCause(context.WithoutCancel(ctx))
	defer end(nil)
	var assigning sync.Mutex // held by the one that leads
	defer context.AfterFunc(ctx, func() {
		assigning.Lock()
		defer assigning.Unlock()
		end(ctx.Err())
	})()
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: lock, LeaseDuration: leaseDuration, RenewDeadline: renewDeadline, RetryPeriod: retryPeriod,
		ReleaseOnCancel: true, Name: LeaseName, WatchDog: healthy,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(leading context.Context) {
				assigning.Lock()
				defer assigning.Unlock()
				leading, stop := context.WithCancel(leading)
				defer stop()
				defer context.AfterFunc(ctx, stop)()
				m.leader.Set(1)
				c := newController(o.Config, client.CoreV1(), recorder, m, o.Log)
				if err := c.lead(leading, client); err != nil && leading.Err() == nil {
					end(err)
				}
			},
			OnStoppedLeading: func() { m.leader.Set(0) },
			OnNewLeader:      func(who string) { o.Log.Info("a process leads", "leader", who, "self", who == o.Identity) },
		},
	})
	if err != nil {
		return fmt.Errorf("make leader election: %w", err)
	}
	elector.Run(election)
	assigning.Lock() // where the lease was lost, it may still be in the middle of it
	defer assigning.Unlock()
	switch cause := context.Cause(election); {
	case cause == nil:
		return ErrLost
	case errors.Is(cause, context.Canceled):
		return nil
	default:
		return cause
	}
}

// serve serves health and metrics until ctx ends.
func serve(ctx context.Context, o Options, m *metrics, healthy *leaderelection.HealthzAdaptor) error {
	health := http.NewServeMux()
	health.HandleFunc("/healthz", func(w http.ResponseWriter, r *http.Request) {
		if err := healthy.Check(r); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
		}
	})
	pages := http.NewServeMux()
	pages.Handle("/metrics", m.handler())
	for _, s := range []struct {
		at      string
		handler http.Handler
	}{{o.Health, health}, {o.Metrics, pages}} {
		if s.at == "" {
			continue
		}
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", s.at)
		if err != nil {
			return fmt.Errorf("serve health and metrics: %w", err)
		}
		server := &http.Server{Handler: s.handler, ReadHeaderTimeout: readTimeout, ErrorLog: slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug)}
		go func() {
			<-ctx.Done()
			_ = server.Close()
		}()
		go func() {
			if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				o.Log.Error("serving health and metrics ended", "listen", s.at, "err", err)
			}
		}()
	}
	return nil
}
