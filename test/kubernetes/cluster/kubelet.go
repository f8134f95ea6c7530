// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ndproxyd/ndproxyd/test/harness"
)

// hostSettings are what a kubelet wants of the whole machine. It sees files instead,
// as these are not its to change.
const hostSettings = "vm/overcommit_memory=1 vm/panic_on_oom=0 kernel/panic=10 kernel/panic_on_oops=1 kernel/keys/root_maxkeys=1000000 kernel/keys/root_maxbytes=25000000"

// kubeletConfig leaves to the machine what is the machine's.
const kubeletConfig = `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
failCgroupV1: false
cgroupDriver: cgroupfs
cgroupsPerQOS: false
enforceNodeAllocatable: []
oomScoreAdj: 0
failSwapOn: false
protectKernelDefaults: true
resolvConf: ""
syncFrequency: 5s
localStorageCapacityIsolation: false
evictionHard: {memory.available: 1Mi, nodefs.available: 0%%, imagefs.available: 0%%, nodefs.inodesFree: 0%%}
authentication: {anonymous: {enabled: true}, webhook: {enabled: false}}
authorization: {mode: AlwaysAllow}
containerRuntimeEndpoint: unix://%s/containerd.sock
`

const containerdConfig = `version = 3
root = "%[1]s/root"
state = "%[1]s/state"
[grpc]
address = "%[1]s/containerd.sock"
[ttrpc]
address = "%[1]s/containerd.sock.ttrpc"
[plugins.'io.containerd.cri.v1.runtime']
restrict_oom_score_adj = true
disable_apparmor = true
[plugins.'io.containerd.cri.v1.runtime'.cni]
conf_dir = "%[1]s/cni"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
SystemdCgroup = false
[plugins.'io.containerd.nri.v1.nri'] # its socket is one for all on the host
disable = true
[plugins.'io.containerd.cri.v1.images'.pinned_images]
sandbox = "localhost/pause:1"
`

// nodeScript runs containerd and the kubelet in one mount namespace, since one mounts
// what the other gives to containers.
const nodeScript = `set -e
for setting in %[2]s; do
	echo "${setting#*=}" >%[1]s/setting; cp %[1]s/setting "%[1]s/$(echo "${setting%%=*}" | tr / -)"
	mount --bind "%[1]s/$(echo "${setting%%=*}" | tr / -)" "/proc/sys/${setting%%=*}"
done
mkdir -p /var/lib/kubelet %[1]s/shared # the plugins' sockets are there, whatever --root-dir says
mount --bind %[1]s/shared /var/lib/kubelet
mkdir -p /var/log/pods %[1]s/pods /var/lib/ndproxyd-daemonset # each host has its own
mount --bind %[1]s/pods /var/log/pods
mount --bind %[7]s /var/lib/ndproxyd-daemonset
mount -t bpf bpf /sys/fs/bpf
containerd -c %[1]s/containerd.toml >%[1]s/containerd.log 2>&1 &
until ctr -a %[1]s/containerd.sock plugins ls 2>/dev/null | grep -qE 'grpc.v1 +cri .* ok'; do sleep 0.1; done
for image in %[3]s; do ctr -a %[1]s/containerd.sock -n k8s.io images import --local "$image"; done
exec kubelet --config %[1]s/kubelet.yaml --kubeconfig %[4]s --hostname-override=%[5]s --node-ip=%[6]s --root-dir %[1]s/kubelet --v=1
`

// RunKubelet makes a real node of n: containerd with images, of which one is called
// localhost/pause:1, and a kubelet. Only pods of the host's network can run there.
func (n *Node) RunKubelet(token string, images ...string) {
	n.tb.Helper()
	cache := cacheDir()
	n.tb.Setenv("PATH", filepath.Join(cache, "tools")+":"+filepath.Join(cache, "runc", "usr", "sbin")+":"+filepath.Dir(program(n.tb, "kubelet"))+":"+os.Getenv("PATH"))
	n.tb.Setenv("LD_LIBRARY_PATH", filepath.Join(cache, "runc", "usr", "lib", "x86_64-linux-gnu"))
	dir, err := os.MkdirTemp("", "node")
	harness.Must(n.tb, err)
	n.Containerd = filepath.Join(dir, "containerd.sock")
	n.tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	harness.Must(n.tb, os.Mkdir(filepath.Join(dir, "cni"), 0o755))
	for name, content := range map[string]string{
		"kubelet.yaml":    fmt.Sprintf(kubeletConfig, dir),
		"containerd.toml": fmt.Sprintf(containerdConfig, dir),
		"cni/10.conflist": `{"cniVersion": "1.0.0", "name": "none", "plugins": [{"type": "loopback"}]}`,
	} {
		harness.Must(n.tb, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600))
	}
	script := fmt.Sprintf(nodeScript, dir, hostSettings, strings.Join(images, " "), n.net.Cluster.Kubeconfig(token), n.Name, n.Management, n.Dir)
	log, err := os.Create(filepath.Join(dir, "kubelet.log"))
	harness.Must(n.tb, err)
	process, err := n.Start("/usr/bin/unshare", []string{"-m", "sh", "-c", script}, log, log, nil)
	harness.Must(n.tb, err)
	n.tb.Cleanup(func() {
		n.killAll()
		_, _ = process.Wait()
		if n.tb.Failed() {
			pods, _ := filepath.Glob(filepath.Join(dir, "pods", "*", "*", "*.log"))
			for _, l := range append(pods, filepath.Join(dir, "kubelet.log"), filepath.Join(dir, "containerd.log")) {
				n.tb.Logf("the end of %s's %s:\n%s", n.Name, strings.TrimPrefix(l, dir), tail(l))
			}
		}
	})
}

// Processes returns the numbers of the processes in the node's network namespace.
func (n *Node) Processes() []string {
	n.tb.Helper()
	var own, st unix.Stat_t
	harness.Must(n.tb, unix.Stat(n.Path(), &own))
	entries, err := os.ReadDir("/proc")
	harness.Must(n.tb, err)
	var found []string
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err != nil || unix.Stat(filepath.Join("/proc", e.Name(), "ns", "net"), &st) != nil || st.Ino != own.Ino {
			continue
		}
		found = append(found, e.Name())
	}
	return found
}

// killAll kills every process of the node: its containers outlive the kubelet.
func (n *Node) killAll() {
	harness.Eventually(n.tb, "the end of the node's processes", func() bool {
		running := 0
		for _, name := range n.Processes() {
			pid, _ := strconv.Atoi(name)
			state, _ := os.ReadFile(filepath.Join("/proc", name, "stat"))
			if pid == os.Getpid() || strings.Contains(string(state), ") Z ") {
				continue
			}
			running++
			_ = unix.Kill(pid, unix.SIGKILL)
		}
		return running == 0
	})
}

// Helm runs helm against the cluster.
func (c *Cluster) Helm(tb testing.TB, args ...string) string {
	tb.Helper()
	path := filepath.Join(cacheDir(), "tools", "helm")
	args = append([]string{"--net=" + c.NS.Path(), path}, append(args, "--kubeconfig="+c.Kubeconfig(AdminToken))...)
	cmd := exec.Command("nsenter", args...)
	cmd.Env = append(os.Environ(), "HOME="+tb.TempDir())
	out, err := cmd.CombinedOutput()
	if err != nil {
		tb.Fatalf("helm %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}
