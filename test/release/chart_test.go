// SPDX-License-Identifier: Apache-2.0

//go:build full

package release

import (
	"os"
	"strings"
	"testing"

	"github.com/ndproxyd/ndproxyd/internal/config"
	"github.com/ndproxyd/ndproxyd/test/harness"
	"go.yaml.in/yaml/v3"
)

const (
	helm  = ".cache/tools/helm"
	chart = "deploy/helm/ndproxyd"
)

// TestManifests holds the plain manifests to the chart.
func TestManifests(t *testing.T) {
	for name, args := range map[string][]string{
		"ndproxyd.yaml":  nil,
		"rbac.yaml":      {"-s", "templates/namespace.yaml", "-s", "templates/rbac.yaml"},
		"admission.yaml": {"-s", "templates/admission.yaml"},
	} {
		out := run(t, nil, append([]string{helm, "template", "ndproxyd", chart, "--namespace", "ndproxyd", "--no-hooks", "--set", "namespace.create=true"}, args...)...)
		b, err := os.ReadFile(root + "deploy/kubernetes/" + name)
		harness.Must(t, err)
		if string(b) != out {
			t.Errorf(`deploy/kubernetes/%s is not what the chart comes to: run "make reference"`, name)
		}
	}
}

// TestChartValues renders the chart with values, and refuses wrong ones.
func TestChartValues(t *testing.T) {
	run(t, nil, helm, "lint", "--strict", chart)
	for name, c := range map[string]struct {
		set           []string
		wanted, never []string
	}{
		"default":                   {nil, []string{"add: [NET_RAW]\n", `listen: ":9972"`, "authentication: kubernetes", "readOnlyRootFilesystem: true", "drop: [ALL]", "hostNetwork: true", "priorityClassName: system-node-critical"}, []string{"NET_ADMIN", "kind: PodMonitor", "kind: PrometheusRule", "kind: Secret"}},
		"loopback":                  {[]string{"metrics.authentication=none"}, []string{`listen: "[::1]:9972"`}, []string{"tokenreviews", "authentication: kubernetes"}},
		"drop loops":                {[]string{"uplinks[0].interface=eth0", "uplinks[0].drop_loops=true"}, []string{"add: [NET_RAW, NET_ADMIN]"}, nil},
		"fast path":                 {[]string{"fastPath.enabled=true", "uplinks[0].interface=eth0", "uplinks[0].fast_path=tc", "uplinks[0].fast_path_hold=90s"}, []string{"add: [NET_RAW, NET_ADMIN, BPF]\n", "fast_path_directory: /bpf ", "fast_path: tc\n", "{name: bpf, mountPath: /bpf}\n", "hostPath: {path: /sys/fs/bpf/ndproxyd, type: DirectoryOrCreate}\n", "readOnlyRootFilesystem: true", "seccompProfile: {type: RuntimeDefault}", "    resourceNames: [ndproxyd]\n    verbs: [get]\n"}, []string{"SYS_ADMIN", "PERFMON", "privileged: true"}},
		"fast path nowhere":         {[]string{"fastPath=null", "uplinks[0].interface=eth0", "uplinks[0].fast_path=off"}, []string{"add: [NET_RAW]\n"}, []string{"bpf", "BPF", "daemonsets", "apps]"}},
		"monitoring":                {[]string{"metrics.podMonitor.enabled=true", "metrics.prometheusRule.enabled=true", "metrics.dashboard.enabled=true"}, []string{"kind: PodMonitor", "kind: PrometheusRule", "alert: NdproxydDown", `grafana_dashboard: "1"`, "type: kubernetes.io/service-account-token", "nonResourceURLs: [/metrics]"}, nil},
		"no metrics":                {[]string{"metrics.enabled=false", "metrics.podMonitor.enabled=true"}, []string{`listen: ""`}, []string{"kind: PodMonitor", "tokenreviews", "containerPort"}},
		"digest":                    {[]string{"image.digest=sha256:" + strings.Repeat("a", 64)}, []string{"image: ghcr.io/ndproxyd/ndproxyd@sha256:aaa"}, nil},
		"rollout":                   {nil, []string{"maxUnavailable: 1\n", "containerPort: 9972", "dnsPolicy: Default", "ready_without_uplink: true", "{name: GOMEMLIMIT, value: \"241591910\"}"}, []string{"maxSurge", "initialDelaySeconds", "checksum/", "seLinuxOptions", "annotations:\n    spec"}},
		"surge":                     {[]string{"updateStrategy.rollingUpdate.maxSurge=1", "updateStrategy.rollingUpdate.maxUnavailable=0"}, []string{"maxSurge: 1\n", "maxUnavailable: 0\n", "initialDelaySeconds: 2"}, []string{"containerPort"}},
		"no surge":                  {[]string{"updateStrategy.type=RollingUpdate", "updateStrategy.rollingUpdate.maxUnavailable=10%"}, []string{"maxUnavailable: 10%\n", "containerPort: 9972"}, []string{"maxSurge", "initialDelaySeconds"}},
		"on delete":                 {[]string{"updateStrategy.type=OnDelete", "metrics.podMonitor.enabled=true"}, []string{"type: OnDelete\n", "containerPort: 9972", "port: metrics"}, []string{"maxSurge", "initialDelaySeconds", "targetLabel: __address__"}},
		"surge of a part":           {[]string{"updateStrategy.rollingUpdate.maxSurge=20%", "updateStrategy.rollingUpdate.maxUnavailable=0", "metrics.podMonitor.enabled=true"}, []string{"maxSurge: 20%\n", "initialDelaySeconds: 2", `replacement: "[$1]:9972"`}, []string{"containerPort", "port: metrics"}},
		"another port of health":    {[]string{"health.port=10973"}, []string{"name: ndproxyd-health-10973", `listen: "[::1]:10973"`, `host: "::1", port: 10973`}, []string{"9973"}},
		"ready with an uplink only": {[]string{"health.readyWithoutUplink=false"}, nil, []string{"ready_without_uplink"}},
		"SELinux":                   {[]string{"seLinuxOptions.type=spc_t"}, []string{"            seLinuxOptions:\n              type: spc_t\n"}, nil},
		"another limit":             {[]string{"resources.limits.memory=1Gi"}, []string{`{name: GOMEMLIMIT, value: "966367641"}`}, nil},
		"a limit in another form":   {[]string{"resources.limits.memory=1.5Gi"}, nil, []string{"GOMEMLIMIT"}},
		"no limit":                  {[]string{"resources.limits=null"}, nil, []string{"GOMEMLIMIT"}},
		"no state":                  {[]string{"statePath="}, []string{`snapshot: ""`}, []string{"hostPath"}},
		"balancer":                  {[]string{"loadBalancer.pools[0].name=p", "loadBalancer.pools[0].prefixes[0]=2001:db8::1:0/112"}, []string{"image: ghcr.io/ndproxyd/allocator:", "services/status", "without_class: false"}, nil},
		"no balancer":               {[]string{"loadBalancer=null"}, []string{"kind: DaemonSet"}, []string{"allocator", "services/status"}},
		"nulls":                     {[]string{"statePath=null", "kubernetes=null", "uplinks=null", "rules=null"}, []string{`snapshot: ""`}, []string{"hostPath"}},
		"no cluster":                {[]string{"kubernetes.enabled=false", "metrics.authentication=none"}, []string{"enabled: false"}, nil},
		"server":                    {[]string{"kubernetesServiceHost=2001:db8::1", "kubernetesServicePort=6443"}, []string{"{name: KUBERNETES_SERVICE_HOST, value: \"2001:db8::1\"}"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			args := []string{helm, "template", "ndproxyd", chart, "--namespace", "ndproxyd"}
			for _, s := range c.set {
				args = append(args, "--set", s)
			}
			out := run(t, nil, args...)
			for _, w := range c.wanted {
				if !strings.Contains(out, w) {
					t.Errorf("no %q", w)
				}
			}
			for _, w := range c.never {
				if strings.Contains(out, w) {
					t.Errorf("there is %q", w)
				}
			}
			checkConfig(t, out)
		})
	}
	for value, words := range map[string]string{
		"metrics.authentication=tls":                                  "metrics/authentication",
		"rules[0].method=static":                                      "prefix",
		"uplinks[0].interface=eth0,uplinks[0].fast_path=fast":         "uplinks/0/fast_path",
		"fastPath.enabled=maybe":                                      "fastPath/enabled",
		"uplinks[0].interfaces=eth0":                                  "uplinks/0",
		"kubernetes.ownership=lottery":                                "kubernetes/ownership",
		"metrics.port=0":                                              "metrics/port",
		"nonsense=1":                                                  "nonsense",
		"metrics.scraper.serviceAccount=prometheus-k8s":               "metrics.scraper.namespace is needed",
		"metrics.authentication=none,metrics.podMonitor.enabled=true": "metrics.podMonitor needs metrics.authentication=kubernetes",
		"kubernetes.enabled=false":                                    "set metrics.authentication=none",
		"serviceAccount.create=false":                                 "serviceAccount.name is needed",
	} {
		if out, err := try(nil, helm, "template", "ndproxyd", chart, "--set", value); err == nil || !strings.Contains(out, words) {
			t.Errorf("--set %s: %v: %s", value, err, out)
		}
	}
}

// TestReusedValues renders the chart as "helm upgrade --reuse-values" does: with the values
// of the chart before, and without any that have come since.
func TestReusedValues(t *testing.T) {
	dir := t.TempDir()
	run(t, nil, "cp", "-rL", chart, dir)
	values, err := os.ReadFile("testdata/values-before.yaml")
	harness.Must(t, err)
	harness.Must(t, os.WriteFile(dir+"/ndproxyd/values.yaml", values, 0o600))
	out := run(t, nil, helm, "template", "ndproxyd", dir+"/ndproxyd", "--namespace", "ndproxyd", "--set", "metrics.podMonitor.enabled=true,metrics.prometheusRule.enabled=true")
	for _, w := range []string{"maxUnavailable: 1\n", "containerPort: 9972", "port: metrics", "ready_without_uplink: true", `{name: GOMEMLIMIT, value: "120795955"}`, "dnsPolicy: Default"} {
		if !strings.Contains(out, w) {
			t.Errorf("no %q", w)
		}
	}
	if strings.Contains(out, "<nil>") || strings.Contains(out, "maxSurge") {
		t.Errorf("values that are not there are used:\n%s", out)
	}
	checkConfig(t, out)
}

// TestTwoReleases renders two releases for two groups of nodes, which must have no object
// in common.
func TestTwoReleases(t *testing.T) {
	seen := make(map[[3]string]string)
	for _, name := range []string{"ndproxyd", "ndproxyd-edge"} {
		out := run(t, nil, helm, "template", name, chart, "--namespace", "ndproxyd", "--set", "nodeSelector.group="+name+",metrics.podMonitor.enabled=true,metrics.dashboard.enabled=true")
		for d := yaml.NewDecoder(strings.NewReader(out)); ; {
			var object struct {
				Kind     string
				Metadata struct{ Name, Namespace string }
			}
			if err := d.Decode(&object); err != nil {
				break
			}
			key := [3]string{object.Kind, object.Metadata.Namespace, object.Metadata.Name}
			if other, taken := seen[key]; taken {
				t.Errorf("%v is of %s and of %s", key, other, name)
			}
			seen[key] = name
		}
	}
	if len(seen) < 16 {
		t.Errorf("only %d objects", len(seen))
	}
}

// checkConfig has the daemon's own parser read the configuration in the manifests.
func checkConfig(t *testing.T, manifests string) {
	t.Helper()
	for d := yaml.NewDecoder(strings.NewReader(manifests)); ; {
		var object struct {
			Kind string
			Data map[string]string
		}
		if err := d.Decode(&object); err != nil {
			t.Error("no configuration")
			return
		}
		if text, ok := object.Data["config.yaml"]; ok {
			if _, err := config.Parse("config.yaml", []byte(text)); err != nil {
				t.Errorf("%v in\n%s", err, text)
			}
			return
		}
	}
}
