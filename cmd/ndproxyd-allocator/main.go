// SPDX-License-Identifier: Apache-2.0

// Command ndproxyd-allocator gives services of the type LoadBalancer their addresses.
package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/ndproxyd/ndproxyd/internal/allocator"
)

// version and revision are set by the linker.
var version, revision = "devel", ""

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, unix.SIGTERM)
	defer stop()
	if err := command(os.Stderr, os.Getenv).ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "ndproxyd-allocator:", err)
		stop()
		os.Exit(1) //nolint:gocritic // stop was called
	}
}

// command makes the command line.
func command(stderr io.Writer, getenv func(string) string) *cobra.Command {
	var o allocator.Options
	var file, kubeconfig string
	var check bool
	c := &cobra.Command{
		Use: "ndproxyd-allocator", Version: strings.TrimSpace(version + " " + revision), Args: cobra.NoArgs, SilenceUsage: true, SilenceErrors: true,
		Short: "Give services of the type LoadBalancer addresses of pools",
		Long: "Gives services of the type LoadBalancer IPv6 addresses of pools, which the daemons on the\n" +
			"nodes answer for. Of several processes one assigns, by a lease in its namespace.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if o.Config, err = allocator.Load(file); err != nil || check {
				return err
			}
			if o.REST, err = rest.InClusterConfig(); kubeconfig != "" {
				o.REST, err = clientcmd.BuildConfigFromFlags("", kubeconfig)
			}
			if err != nil {
				return fmt.Errorf("read credentials: %w", err)
			}
			o.REST.UserAgent = "ndproxyd-allocator/" + version
			o.Log = slog.New(slog.NewJSONHandler(stderr, nil))
			if o.Namespace == "" {
				o.Namespace = getenv("POD_NAMESPACE")
			}
			if o.Namespace == "" {
				return fmt.Errorf("the namespace of the lease is not known: set --namespace or POD_NAMESPACE")
			}
			host, err := os.Hostname()
			if err != nil {
				return fmt.Errorf("read host name: %w", err)
			}
			o.Identity = host + "_" + strings.ToLower(rand.Text()[:8])
			return allocator.Run(cmd.Context(), o)
		},
	}
	f := c.Flags()
	f.StringVarP(&file, "config", "c", "/etc/ndproxyd/allocator.yaml", "the configuration: pools and the class of services")
	f.BoolVar(&check, "check", false, "check the configuration, and end")
	f.StringVar(&kubeconfig, "kubeconfig", "", "a kubeconfig; default: the account of the pod")
	f.StringVar(&o.Namespace, "namespace", "", "where the lease is; default: POD_NAMESPACE")
	f.StringVar(&o.Health, "health", ":9975", `where /healthz is served, "" for nowhere`)
	f.StringVar(&o.Metrics, "metrics", "", `where /metrics is served, such as ":9974"; default: nowhere`)
	return c
}
