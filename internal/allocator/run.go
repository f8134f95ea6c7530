// SPDX-License-Identifier: Apache-2.0

package allocator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
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

// ErrLost is returned by Run when another process has taken the lease: this one is to be
// started again, as nobody can tell what it has missed.
var ErrLost = errors.New("another process leads now")

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
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock: lock, LeaseDuration: leaseDuration, RenewDeadline: renewDeadline, RetryPeriod: retryPeriod,
		ReleaseOnCancel: true, Name: LeaseName, WatchDog: healthy,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(ctx context.Context) {
				m.leader.Set(1)
				c := &controller{config: o.Config, client: client, events: recorder, log: o.Log, metrics: m}
				if err := c.lead(ctx); err != nil && ctx.Err() == nil {
					stop(err)
				}
			},
			OnStoppedLeading: func() { m.leader.Set(0) },
			OnNewLeader:      func(who string) { o.Log.Info("a process leads", "leader", who, "self", who == o.Identity) },
		},
	})
	if err != nil {
		return fmt.Errorf("make leader election: %w", err)
	}
	elector.Run(ctx)
	switch cause := context.Cause(ctx); {
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
