// SPDX-License-Identifier: Apache-2.0

package k8swatch

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	// queries a second, and at once. A node's agent renews one lease; the rest
	// are watches.
	queries, queriesAtOnce = 10, 20
	// callTimeout bounds a request that is not a watch.
	callTimeout = 3 * time.Second
)

// Client is a way to an API server.
type Client struct {
	typed   *typed
	dynamic dynamic.Interface
	// Server is the URL, for status.
	Server   string
	identity string // of server and credentials
}

// Connect makes a client of a kubeconfig file, or, where that is "", of what a
// pod is given. It does not ask the server anything, but fails where the file or
// the credentials are wrong. server replaces the URL unless it is "".
func Connect(kubeconfig, server, agent string) (*Client, error) {
	config, err := load(kubeconfig)
	if err != nil {
		return nil, err
	}
	if server != "" {
		config.Host = server
	}
	config.UserAgent = agent
	config.QPS, config.Burst = queries, queriesAtOnce
	// Warnings are for people who write objects, which we do not.
	config.WarningHandler = rest.NoWarnings{}
	hc, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("connect to Kubernetes: %w", err)
	}
	return connect(config, hc)
}

func connect(config *rest.Config, hc *http.Client) (*Client, error) {
	binary := rest.CopyConfig(config)
	binary.ContentType = runtime.ContentTypeProtobuf
	binary.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	typed, err := newTyped(binary, hc)
	if err != nil {
		return nil, fmt.Errorf("connect to Kubernetes: %w", err)
	}
	free, err := dynamic.NewForConfigAndClient(config, hc)
	if err != nil {
		return nil, fmt.Errorf("connect to Kubernetes: %w", err)
	}
	return &Client{typed: typed, dynamic: free, Server: config.Host, identity: identity(config)}, nil
}

// identity tells one server and account from another.
func identity(c *rest.Config) string {
	t := c.TLSClientConfig
	sum := sha256.Sum256(fmt.Appendf(nil, "%q", []string{
		c.Host, c.BearerToken, c.BearerTokenFile, c.Username, c.Password, t.ServerName, t.CAFile, t.CertFile, t.KeyFile,
		string(t.CAData), string(t.CertData), string(t.KeyData), strconv.FormatBool(t.Insecure),
	}))
	return hex.EncodeToString(sum[:])
}

func load(kubeconfig string) (*rest.Config, error) {
	if kubeconfig == "" {
		config, err := rest.InClusterConfig()
		if errors.Is(err, rest.ErrNotInCluster) {
			return nil, errors.New("connect to Kubernetes: this is not a pod: name a kubeconfig, such as /etc/kubernetes/kubelet.conf")
		}
		if err != nil {
			return nil, fmt.Errorf("connect to Kubernetes with the pod's service account: %w", err)
		}
		return config, nil
	}
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return nil, fmt.Errorf("read kubeconfig %s: %w", kubeconfig, err)
	}
	return config, nil
}
