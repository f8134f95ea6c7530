// SPDX-License-Identifier: Apache-2.0

//go:build full

package node

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ndproxyd/ndproxyd/test/docs"
	"github.com/ndproxyd/ndproxyd/test/harness"
	"github.com/ndproxyd/ndproxyd/test/kubernetes/cluster"
)

// TestDocumentation does to a cluster what the documentation tells its operator to.
// Pods reach the API server by the service "kubernetes", by kube-proxy.
func TestDocumentation(t *testing.T) {
	cluster.UseNetfilter(t)
	c := cluster.StartComplete(t)
	n := cluster.NewNetwork(t, c, 1)
	n.Nodes[0].RunProxy("nftables")
	n.Nodes[0].RunKubelet(cluster.KubeletToken, cluster.PauseImage(t)) // as on a node that cannot pull the image
	c.Apply(monitors)
	service := c.CreateService("web")

	dir := t.TempDir()
	chart := one(t, "../../../dist/ndproxyd-*.tgz")
	harness.Must(t, os.Symlink(chart, filepath.Join(dir, filepath.Base(chart))))
	deploy, err := filepath.Abs("../../../deploy")
	harness.Must(t, err)
	harness.Must(t, os.Symlink(deploy, filepath.Join(dir, "deploy")))
	values := strings.Replace(docs.File(t, "docs/quickstart-cluster.md", "values.yaml"), "interface: eth0", "interface: "+harness.Uplink, 1)
	harness.Must(t, os.WriteFile(filepath.Join(dir, "values.yaml"), []byte(values), 0o600))
	image := one(t, "../../../dist/ndproxyd_*_image.tar")
	harness.Must(t, os.Symlink(image, filepath.Join(dir, filepath.Base(image))))
	ctr := "#!/bin/sh\nexec " + one(t, "../../../.cache/tools/ctr") + " -a " + n.Nodes[0].Containerd + " \"$@\"\n" // where it is on this host
	harness.Must(t, os.WriteFile(filepath.Join(dir, "ctr"), []byte(ctr), 0o700))
	harness.Eventually(t, "containerd", func() bool { return exec.Command(filepath.Join(dir, "ctr"), "version").Run() == nil })
	all := func(tag string) {
		t.Helper()
		for _, b := range docs.Tagged(t, tag) {
			for _, command := range b.Lines() {
				ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
				cmd := exec.CommandContext(ctx, "nsenter", "--net="+c.NS.Path(), "bash", "-c", "set -e; "+command)
				cmd.Dir = dir
				cmd.Env = append(os.Environ(), "HOME="+dir, "PATH="+dir+":"+os.Getenv("PATH"), "KUBECONFIG="+c.Kubeconfig(cluster.AdminToken))
				out, err := cmd.CombinedOutput()
				cancel()
				if err != nil {
					for _, p := range c.Pods("ndproxyd") {
						t.Logf("pod %s: %+v", p.Name, p.Status.ContainerStatuses)
					}
					t.Fatalf("%s: %s: %v: %s", b, command, err, out)
				}
			}
		}
	}
	all("node-image")
	all("cluster")
	a := n.Asker()
	a.WantAnswer(service)
	all("cluster-check")
	all("cluster-end")
	a.WantSilence(service)
}
