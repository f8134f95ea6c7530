// SPDX-License-Identifier: Apache-2.0

//go:build full

package plugins

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/ndproxyd/ndproxyd/internal/lab"
	"github.com/ndproxyd/ndproxyd/test/harness"
)

// pod is a pod that runs: a namespace that the plugin has connected.
type pod struct {
	name   string
	h      *host
	ns     *lab.Namespace
	object *corev1.Pod
	addr   netip.Addr
}

// cni calls the plugin as the kubelet's runtime does.
func (p *pod) cni(command string) (string, error) {
	args := fmt.Sprintf("IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=%s;K8S_POD_INFRA_CONTAINER_ID=%s;K8S_POD_UID=%s",
		p.name, strings.ReplaceAll(string(p.object.UID), "-", ""), p.object.UID)
	bin := cached(p.h.t, "plugins", "bin")
	env := []string{"CNI_PATH=" + bin, "NETCONFPATH=" + p.h.dir + "/cni", "CNI_ARGS=" + args, "PATH=" + searchPath(p.h.t)}
	return p.h.run(env, bin+"/cnitool", command, network, p.ns.Path())
}

// runPod starts a pod on a host: the scheduler has bound it, the plugin connects it, and
// the kubelet writes its status.
func (s *site) runPod(h *host, name string) *pod {
	s.t.Helper()
	p := &pod{name: name, h: h, ns: harness.Namespace(s.t)}
	p.object = s.c.CreatePod(name, h.Name, netip.Addr{})
	out, err := p.cni("add")
	harness.Must(s.t, err)
	var result struct {
		IPs []struct {
			Address netip.Prefix `json:"address"`
		} `json:"ips"`
	}
	harness.Must(s.t, json.Unmarshal([]byte(out), &result))
	if len(result.IPs) != 1 {
		s.t.Fatalf("the plugin gives %s %v", name, result.IPs)
	}
	p.addr = result.IPs[0].Address.Addr()
	p.object.Status.HostIP, p.object.Status.HostIPs = h.Addr.String(), []corev1.HostIP{{IP: h.Addr.String()}}
	p.object = s.c.SetPod(p.object, corev1.PodRunning, p.addr)
	s.pods = append(s.pods, p)
	return p
}

// endPod ends a pod as the kubelet does: it is deleted with a time of grace, the plugin
// takes its network away, and then the object goes.
func (s *site) endPod(p *pod) {
	s.t.Helper()
	harness.Must(s.t, s.c.Client.CoreV1().Pods("default").Delete(context.Background(), p.name, metav1.DeleteOptions{}))
	_, err := p.cni("del")
	harness.Must(s.t, err)
	s.c.DeletePod(p.name)
	for i, other := range s.pods {
		if other == p {
			s.pods = append(s.pods[:i:i], s.pods[i+1:]...)
			return
		}
	}
}
