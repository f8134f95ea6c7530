// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/ndproxyd/ndproxyd/internal/lab"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

// The addresses of the control plane, and what it gives away.
const (
	Server      = "https://[fd00:aa::1]:6443"
	serverAddr  = "fd00:aa::1"
	etcdURL     = "http://127.0.0.1:2379"
	ServiceCIDR = "2001:db8:1:0:e::/112"
	PodCIDR     = "2001:db8:1:0:f::/104"
	AdminToken  = "admin"
	// KubeletToken is that of the kubelet of the first node.
	KubeletToken = "kubelet"
	proxyToken   = "proxy"
)

// startTime bounds the wait for a process. It is no claim about speed.
const startTime = 90 * time.Second

// Cluster is a control plane.
type Cluster struct {
	tb        testing.TB
	NS        *lab.Namespace
	Client    kubernetes.Interface
	Dynamic   dynamic.Interface
	Config    *rest.Config
	dir       string
	apiServer *Process
	etcd      *Process
	ports     int
	flags     []string // of the API server
	complete  bool     // with everything that pods need which really run
}

// Process is a program of the control plane.
type Process struct {
	*os.Process
	done chan struct{}
	log  string
}

// Stop ends the process, and waits for its end.
func (p *Process) Stop(s os.Signal) {
	_ = p.Signal(s)
	<-p.done
}

// Start starts etcd and an API server, which gets further flags.
func Start(tb testing.TB, flags ...string) *Cluster {
	tb.Helper()
	return start(tb, false, append(flags, "--disable-admission-plugins=ServiceAccount")) // pods without a controller that makes accounts
}

// StartComplete starts a control plane for nodes with a kubelet: with accounts, all
// controllers and a scheduler.
func StartComplete(tb testing.TB) *Cluster {
	tb.Helper()
	c := start(tb, true, nil)
	c.StartController()
	kubeconfig := c.Kubeconfig(AdminToken)
	c.run("kube-scheduler", "--kubeconfig="+kubeconfig, "--authentication-kubeconfig="+kubeconfig, "--authorization-kubeconfig="+kubeconfig,
		"--bind-address=::1", "--cert-dir="+filepath.Join(c.dir, "scheduler"), "--leader-elect=false", "--v=0")
	return c
}

func start(tb testing.TB, complete bool, flags []string) *Cluster {
	tb.Helper()
	c := &Cluster{tb: tb, NS: harness.Namespace(tb), dir: tb.TempDir(), flags: flags, complete: complete}
	harness.Must(tb, c.NS.Link.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "mgmt"}}))
	harness.Must(tb, c.NS.Up("mgmt"))
	harness.Must(tb, c.NS.Address("mgmt", serverAddr+"/64"))
	c.writeKeys()
	c.write("tokens.csv", fmt.Sprintf("%s,admin,1,\"system:masters\"\n%s,system:kube-proxy,2\n%s,system:node:n1,3,system:nodes\n%s,system:node:n2,4,system:nodes\n", AdminToken, proxyToken, KubeletToken, KubeletToken+"2"))
	c.startStorage("etcd-1")
	c.Config = &rest.Config{
		Host: Server, BearerToken: AdminToken, QPS: 1000, Burst: 1000,
		TLSClientConfig: rest.TLSClientConfig{Insecure: true}, Dial: c.dial,
	}
	var err error
	c.Client, err = kubernetes.NewForConfig(c.Config)
	harness.Must(tb, err)
	c.Dynamic, err = dynamic.NewForConfig(c.Config)
	harness.Must(tb, err)
	c.StartServer()
	return c
}

// startStorage starts etcd on a directory.
func (c *Cluster) startStorage(dir string) {
	c.tb.Helper()
	c.etcd = c.run("etcd", "--data-dir", filepath.Join(c.dir, dir),
		"--listen-client-urls", etcdURL, "--advertise-client-urls", etcdURL,
		"--listen-peer-urls", "http://127.0.0.1:2380", "--initial-advertise-peer-urls", "http://127.0.0.1:2380",
		"--initial-cluster", "default=http://127.0.0.1:2380", "--unsafe-no-fsync")
}

// LoseStorage starts the control plane again, with nothing in it.
func (c *Cluster) LoseStorage() {
	c.tb.Helper()
	c.apiServer.Stop(os.Kill)
	c.etcd.Stop(os.Kill)
	c.startStorage("etcd-2")
	c.StartServer()
}

// dial connects from the control plane's namespace.
func (c *Cluster) dial(ctx context.Context, network, address string) (net.Conn, error) {
	return dialFrom(ctx, c.NS, network, address)
}

// StartServer starts the API server and waits until it is ready.
func (c *Cluster) StartServer() {
	c.tb.Helper()
	c.apiServer = c.run("kube-apiserver", append(c.flags,
		"--etcd-servers="+etcdURL, "--secure-port=6443", "--bind-address=::", "--advertise-address="+serverAddr,
		"--cert-dir="+filepath.Join(c.dir, "certs"), "--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file="+filepath.Join(c.dir, "sa.pub"), "--service-account-signing-key-file="+filepath.Join(c.dir, "sa.key"),
		"--authorization-mode=Node,RBAC", "--token-auth-file="+filepath.Join(c.dir, "tokens.csv"),
		"--service-cluster-ip-range="+ServiceCIDR, "--allow-privileged=true", "--kubelet-preferred-address-types=InternalIP", "--v=0")...)
	client := http.Client{Timeout: time.Second}
	transport, err := rest.TransportFor(c.Config)
	harness.Must(c.tb, err)
	client.Transport = transport
	c.eventually("ready API server", c.apiServer, func() bool {
		resp, err := client.Get(Server + "/readyz")
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}

// StopServer ends the API server.
func (c *Cluster) StopServer(s os.Signal) { c.apiServer.Stop(s) }

// StartController starts the controllers, of which node IPAM gives prefixes away.
// Those that wait for the kubelets, which are not there, are left out.
func (c *Cluster) StartController() *Process {
	c.tb.Helper()
	controllers := "--controllers=*,-node-lifecycle-controller,-taint-eviction-controller,-pod-garbage-collector-controller"
	if c.complete {
		controllers = "--controllers=*"
	}
	return c.run("kube-controller-manager", controllers, "--root-ca-file="+filepath.Join(c.dir, "certs", "apiserver.crt"),
		"--kubeconfig="+c.Kubeconfig(AdminToken), "--authentication-kubeconfig="+c.Kubeconfig(AdminToken), "--authorization-kubeconfig="+c.Kubeconfig(AdminToken),
		"--bind-address=::1", "--cert-dir="+filepath.Join(c.dir, "kcm"), "--allocate-node-cidrs=true",
		"--cluster-cidr="+PodCIDR, "--node-cidr-mask-size=120", "--service-cluster-ip-range="+ServiceCIDR,
		"--service-account-private-key-file="+filepath.Join(c.dir, "sa.key"), "--use-service-account-credentials=true", "--leader-elect=false", "--v=0")
}

// Kubeconfig writes a kubeconfig for a token and returns its path.
func (c *Cluster) Kubeconfig(token string) string {
	c.tb.Helper()
	f, err := os.CreateTemp(c.dir, "kubeconfig-*")
	harness.Must(c.tb, err)
	defer f.Close()
	_, err = fmt.Fprintf(f, `apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "%s", insecure-skip-tls-verify: true}}]
users: [{name: u, user: {token: %s}}]
contexts: [{name: x, context: {cluster: c, user: u}}]
current-context: x
`, Server, token)
	harness.Must(c.tb, err)
	return f.Name()
}

// run starts a program of the control plane in its namespace.
func (c *Cluster) run(name string, args ...string) *Process {
	c.tb.Helper()
	return runIn(c.tb, c.NS, c.dir, name, args...)
}

func runIn(tb testing.TB, ns *lab.Namespace, dir, name string, args ...string) *Process {
	tb.Helper()
	out, err := os.CreateTemp(dir, name+"-*.log")
	harness.Must(tb, err)
	defer out.Close()
	p := &Process{done: make(chan struct{}), log: out.Name()}
	p.Process, err = ns.Start(program(tb, name), args, out, out, nil)
	harness.Must(tb, err)
	go func() {
		_, _ = p.Wait()
		close(p.done)
	}()
	tb.Cleanup(func() {
		_ = p.Kill()
		<-p.done
		if tb.Failed() {
			tb.Logf("the end of %s's log:\n%s", name, tail(p.log))
		}
	})
	return p
}

// cacheDir is where make puts what it builds and fetches.
func cacheDir() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Join(filepath.Dir(file), "..", "..", "..", ".cache")
}

// program returns the path of a program that "make control-plane" has built.
func program(tb testing.TB, name string) string {
	tb.Helper()
	path := filepath.Join(cacheDir(), "kubernetes", "v1.37.1", name)
	if _, err := os.Stat(path); err != nil {
		tb.Fatalf("%s is missing: build it with \"make control-plane\"", name)
	}
	return path
}

func tail(path string) string {
	b, _ := os.ReadFile(path)
	const most = 800
	return string(b[max(0, len(b)-most):])
}

func (c *Cluster) eventually(what string, p *Process, f func() bool) {
	c.tb.Helper()
	for end := time.Now().Add(startTime); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if f() {
			return
		}
		select {
		case <-p.done:
			c.tb.Fatalf("no %s: the process has ended:\n%s", what, tail(p.log))
		default:
		}
	}
	c.tb.Fatalf("no %s after %s:\n%s", what, startTime, tail(p.log))
}

func (c *Cluster) write(name, content string) {
	c.tb.Helper()
	harness.Must(c.tb, os.WriteFile(filepath.Join(c.dir, name), []byte(content), 0o600))
}

// writeKeys makes the keys of service account tokens.
func (c *Cluster) writeKeys() {
	c.tb.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	harness.Must(c.tb, err)
	public, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	harness.Must(c.tb, err)
	c.write("sa.key", string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})))
	c.write("sa.pub", string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})))
}

// SignalServer sends a signal to the API server.
func (c *Cluster) SignalServer(s os.Signal) {
	c.tb.Helper()
	harness.Must(c.tb, c.apiServer.Signal(s))
}
