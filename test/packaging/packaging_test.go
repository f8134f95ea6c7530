// SPDX-License-Identifier: Apache-2.0

package packaging

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"go.yaml.in/yaml/v3"
)

const deploy = "../../deploy"

// read returns a file of the folder deploy.
func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(deploy, path))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestScripts has sh parse each script.
func TestScripts(t *testing.T) {
	t.Parallel()
	count := 0
	err := filepath.WalkDir(deploy, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		first, _, _ := strings.Cut(string(b), "\n")
		if !strings.HasPrefix(first, "#!/bin/sh") && first != "#!/sbin/openrc-run" {
			return nil
		}
		count++
		if out, err := exec.Command("sh", "-n", path).CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", path, err, out)
		}
		return nil
	})
	if err != nil || count < 10 {
		t.Errorf("%d scripts, %v", count, err)
	}
}

// script runs a script of an init system in sh, with stand-ins before it and a call behind
// it. A stand-in named ndproxyd is the program, which accepts a configuration as said.
func script(t *testing.T, path, standIns, call string, valid bool) (out string, failed bool) {
	t.Helper()
	program := filepath.Join(t.TempDir(), "ndproxyd")
	content := "#!/bin/sh\necho \"ndproxyd $*\"\nexit 2\n"
	if valid {
		content = strings.Replace(content, "exit 2", "exit 0", 1)
	}
	syscall.ForkLock.RLock() // a process that another test starts would have the file open, and nobody could run it
	err := os.WriteFile(program, []byte(content), 0o755)
	syscall.ForkLock.RUnlock()
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(string(read(t, path)), "/usr/bin/ndproxyd", program)
	cmd := exec.Command("sh", "-c", standIns+"\n"+text+"\n"+call)
	b, err := cmd.CombinedOutput()
	return strings.ReplaceAll(string(b), program, "/usr/bin/ndproxyd"), err != nil
}

// TestOpenWrt runs the init script as rc.common does.
func TestOpenWrt(t *testing.T) {
	t.Parallel()
	standIns := func(enabled string) string {
		return `config_load() { :; }
config_get_bool() { eval "$1=` + enabled + `"; }
config_get() { eval "$1=\$4"; }
procd_open_instance() { echo open; }
procd_close_instance() { echo close; }
procd_set_param() { echo "param $*"; }
procd_add_jail() { echo "jail $*"; }
start() { start_service; }`
	}
	for name, c := range map[string]struct {
		enabled, call string
		valid, failed bool
		want, not     string
	}{
		"start":               {enabled: "1", call: "start_service", valid: true, want: "param command /usr/bin/ndproxyd run --config /etc/ndproxyd/config.yaml\n"},
		"a reload by a HUP":   {enabled: "1", call: "reload_service", valid: true, want: "param reload_signal HUP\n"},
		"disabled":            {enabled: "0", call: "start_service", valid: true, not: "open"},
		"wrong configuration": {enabled: "1", call: "start_service", failed: true, not: "open"},
		// A start without an instance would stop the one that runs.
		"reload with a wrong one": {enabled: "1", call: "start() { echo started; }; reload_service", failed: true, not: "started"},
		"reload when disabled":    {enabled: "0", call: "start() { echo started; }; reload_service", want: "started"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, failed := script(t, "openwrt/files/ndproxyd.init", standIns(c.enabled), c.call, c.valid)
			if failed != c.failed || !strings.Contains(out, c.want) || c.not != "" && strings.Contains(out, c.not) {
				t.Errorf("failed %t: %s", failed, out)
			}
		})
	}
	var capabilities map[string][]string
	if err := json.Unmarshal(read(t, "openwrt/files/capabilities.json"), &capabilities); err != nil || len(capabilities) != 5 {
		t.Errorf("the capabilities are %v, %v", capabilities, err)
	}
	for set, names := range capabilities {
		if !slices.Equal(names, []string{"CAP_NET_RAW"}) {
			t.Errorf("%s is %v", set, names)
		}
	}
	for _, m := range regexp.MustCompile(`\./files/(\S+)`).FindAllStringSubmatch(string(read(t, "openwrt/Makefile")), -1) {
		read(t, "openwrt/files/"+m[1])
	}
}

// TestOpenRC runs the service script as openrc-run does.
func TestOpenRC(t *testing.T) {
	t.Parallel()
	const standIns = `RC_SVCNAME=ndproxyd
checkpath() { echo "checkpath $*"; }
supervise-daemon() { echo "supervise-daemon $*"; }
ebegin() { :; }
eend() { return $1; }`
	for name, c := range map[string]struct {
		settings, call string
		valid, failed  bool
		want, not      string
	}{
		"arguments":               {call: `echo "$command $command_args $capabilities"`, want: "/usr/bin/ndproxyd run --config /etc/ndproxyd/config.yaml  ^cap_net_raw\n"},
		"settings":                {settings: "ndproxyd_config=/etc/ndppd.conf command_args='--log-level debug'", call: `echo "$command_args"`, want: "run --config /etc/ndppd.conf --log-level debug\n"},
		"start":                   {call: "start_pre", valid: true, want: "checkpath --directory --mode 0700 --owner ndproxyd:ndproxyd /var/lib/ndproxyd\n"},
		"start without a program": {call: "start_pre", valid: true, not: "/sys/fs/bpf"},
		"start with a program":    {settings: "capabilities=^cap_net_raw,^cap_net_admin,^cap_bpf", call: "start_pre", valid: true, want: "checkpath --directory --mode 0700 --owner ndproxyd:ndproxyd /sys/fs/bpf/ndproxyd\n"},
		"no BPF file system":      {settings: "capabilities=^cap_bpf; checkpath() { [ \"$6\" != /sys/fs/bpf/ndproxyd ]; }", call: "start_pre", valid: true},
		"no state directory":      {settings: "checkpath() { false; }", call: "start_pre", valid: true, failed: true},
		"wrong configuration":     {call: "start_pre", failed: true, not: "checkpath"},
		"reload":                  {call: "reload", valid: true, want: "supervise-daemon ndproxyd --signal HUP\n"},
		"reload with a wrong one": {call: "reload", failed: true, not: "supervise-daemon"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, failed := script(t, "openrc/ndproxyd.initd", strings.Replace(standIns, "supervise-daemon()", "supervise_daemon()", 1)+"\nalias supervise-daemon=supervise_daemon\n"+c.settings, c.call, c.valid)
			if failed != c.failed || !strings.Contains(out, c.want) || c.not != "" && strings.Contains(out, c.not) {
				t.Errorf("failed %t: %s", failed, out)
			}
		})
	}
}

// TestRemoval runs the scripts of each package manager, with what it passes to them: what
// answers in the kernel ends with a removal and at no other time.
func TestRemoval(t *testing.T) {
	t.Parallel()
	const detached = "ndproxyd detach --all-namespaces\n"
	for name, c := range map[string]struct {
		script, argument string
		ends             bool
	}{
		"deb removal":           {"prerm", "remove", true},
		"deb upgrade":           {"prerm", "upgrade", false},
		"deb failed upgrade":    {"prerm", "failed-upgrade", false},
		"deb deconfiguration":   {"prerm", "deconfigure", false},
		"deb after an upgrade":  {"postrm", "upgrade", false},
		"deb installation":      {"postinst", "configure", false},
		"rpm removal":           {"rpm-preun", "0", true},
		"rpm upgrade":           {"rpm-preun", "1", false},
		"rpm after an upgrade":  {"rpm-postun", "1", false},
		"apk removal":           {"apk-pre-deinstall", "1.0", true},
		"pacman removal":        {"arch-pre-remove", "1.0", true},
		"ndppd's name is taken": {"ndppd-postrm", "remove", false},
	} {
		for way, valid := range map[string]bool{"": true, ", and something is in use": false} {
			t.Run(name+way, func(t *testing.T) {
				t.Parallel()
				out, failed := script(t, "package/"+c.script, "systemctl() { :; }\nrc_service() { :; }\nalias rc-service=rc_service\nset -- "+c.argument, "", valid)
				if failed || strings.Contains(out, detached) != c.ends {
					t.Errorf("failed %t: %s", failed, out)
				}
			})
		}
	}
}

// TestAnsible reads the role, and wants its variables to be those that have defaults, and
// its handlers to be there.
func TestAnsible(t *testing.T) {
	t.Parallel()
	parse := func(path string, into any) {
		t.Helper()
		d := yaml.NewDecoder(bytes.NewReader(read(t, "ansible/ndproxyd/"+path)))
		if err := d.Decode(into); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	var defaults, meta map[string]any
	var handlers, tasks []map[string]any
	parse("defaults/main.yml", &defaults)
	parse("meta/main.yml", &meta)
	parse("handlers/main.yml", &handlers)
	parse("tasks/main.yml", &tasks)
	for _, name := range regexp.MustCompile(`\bndproxyd_\w+`).FindAllString(string(read(t, "ansible/ndproxyd/tasks/main.yml")), -1) {
		if _, ok := defaults[name]; !ok {
			t.Errorf("%s has no default", name)
		}
	}
	for _, task := range tasks {
		notify, ok := task["notify"]
		if ok && !slices.ContainsFunc(handlers, func(h map[string]any) bool { return h["name"] == notify }) {
			t.Errorf("no handler %q", notify)
		}
	}
}
