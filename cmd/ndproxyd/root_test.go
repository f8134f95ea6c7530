// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// call runs a command line and returns its exit code and what it wrote.
func call(t *testing.T, vars map[string]string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	files := make([]*os.File, 2)
	for i := range files {
		f, err := os.CreateTemp(t.TempDir(), "")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		files[i] = f
	}
	code = execute(context.Background(), env{
		args: args, stdout: files[0], stderr: files[1],
		getenv: func(name string) string { return vars[name] },
	})
	text := make([]string, 2)
	for i, f := range files {
		b, err := os.ReadFile(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		text[i] = string(b)
	}
	return code, text[0], text[1]
}

func write(t *testing.T, content string) string {
	t.Helper()
	return writeAs(t, "config.yaml", content)
}

func writeAs(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestCommandLine(t *testing.T) {
	t.Parallel()
	valid := write(t, "version: 1\nuplinks: [{interface: none9}]\nrules: [{prefix: '2001:db8::/64', method: static}]\n")
	wrong := write(t, "version: 1\nuplinks: [{interface: none9}]\nrules: [{prefix: '2001:db8::1/64', method: statik}]\n")
	ndppd := writeAs(t, "ndppd.conf", "proxy none9 { rule 2001:db8::/64 { auto } }\n")
	odd := writeAs(t, "odd.conf", "proxy none9 { rule 2001:db8::/80; { static } }\n")
	refused := writeAs(t, "refused.conf", "proxy none9 { rule 2001:db8::/80 { } }\n")
	ignored := writeAs(t, "ignored.conf", "proxy none9 { rule 2001:db8::/80 { static\nrouter no\n} };\n")
	empty := writeAs(t, "empty.conf", "proxy none9 {}\n")
	other := writeAs(t, "ndppd.txt", "# of old\nproxy none9 {\n  rule 2001:db8::/64 { auto }\n}\n")
	none := write(t, "version: 1\nuplinks: [{interface: none9}]\nrules: []\n")
	stray := write(t, "version: 1\nrules: [{prefix: '2001:db8::/64', method: static, uplinks: [none9]}]\n")
	nobody := writeAs(t, "kubeconfig", "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{name: c, cluster: {server: 'http://[::1]:1'}}]\ncontexts: [{name: c, context: {cluster: c, user: u}}]\nusers: [{name: u, user: {}}]\n")
	clustered := write(t, "version: 1\nuplinks: [{interface: none9}]\nkubernetes: {kubeconfig: '"+nobody+"', node: n1}\nrules: [{prefix: '2001:db8::/64', method: pods}]\n")
	tests := []struct {
		name           string
		args           []string
		vars           map[string]string
		code           int
		stdout, stderr string
	}{
		{name: "nothing to detach", args: []string{"detach", "--directory", "/nonexistent"}},
		{name: "nothing to detach from an interface", args: []string{"detach", "none9", "--directory", "/nonexistent"}},
		{name: "detach with a file", args: []string{"detach", "--config", write(t, "version: 1\nuplinks: [{interface: none9}]\nfast_path_directory: /usr\n")}, code: 1, stderr: "/usr is not in a bpffs"},
		{name: "detach with a wrong file", args: []string{"detach", "--config", wrong}, code: 2, stderr: wrong + ":3:18: "},
		{name: "detach elsewhere", args: []string{"detach", "--directory", "/"}, code: 1, stderr: "/ is not in a bpffs"},
		{name: "detach all of some", args: []string{"detach", "--all-namespaces", "none9"}, code: 2, stderr: "--all-namespaces frees all interfaces"},
		{name: "no command", code: 2, stderr: "a command is missing"},
		{name: "help", args: []string{"--help"}, stdout: "ndproxyd run --interface eth0"},
		{name: "unknown command", args: []string{"ran"}, code: 2, stderr: `unknown command "ran" for "ndproxyd" (did you mean "run"?)`},
		{name: "misspelled command", args: []string{"chek"}, code: 2, stderr: `(did you mean "check"?)`},
		{name: "unlike any command", args: []string{"zzzzzzzz"}, code: 2, stderr: `unknown command "zzzzzzzz" for "ndproxyd" (see "ndproxyd --help")`},
		{name: "unknown flag", args: []string{"run", "--uplnk", "none9"}, code: 2, stderr: `unknown flag: --uplnk (see "ndproxyd run --help")`},
		{name: "argument too many", args: []string{"run", "none9"}, code: 2, stderr: "unknown command"},
		{name: "valid file", args: []string{"check", "--config", valid}, stdout: "valid, 1 uplink, 1 rule,"},
		{name: "valid flags", args: []string{"check", "-i", "none9", "-r", "2001:db8::/64=static"}, stdout: "none9: the interface does not exist yet (absent)"},
		{name: "valid file as JSON", args: []string{"check", "--config", valid, "--output", "json"}, stdout: `"rules": 1`},
		{name: "wrong file", args: []string{"check", "--config", wrong}, code: 2, stderr: wrong + ":3:18: rules[0].prefix: "},
		{name: "wrong file, second fault", args: []string{"check", "--config", wrong}, code: 2, stderr: `did you mean "static"?`},
		{name: "wrong file to run", args: []string{"run", "--config", wrong}, code: 2, stderr: `did you mean "2001:db8::/64"?`},
		{name: "missing file", args: []string{"run", "--config", "/nonexistent/config.yaml"}, code: 2, stderr: "no such file"},
		{name: "file and flags", args: []string{"run", "--config", valid, "-i", "none9"}, code: 2, stderr: "goes without --interface"},
		{name: "flags before the variable of a file", args: []string{"check", "-i", "none9", "-r", "2001:db8::/64=static"}, vars: map[string]string{"NDPROXYD_CONFIG": wrong}, stdout: "--interface none9 --rule 2001:db8::/64=static: valid"},
		{name: "file before the variables of flags", args: []string{"check", "--config", valid}, vars: map[string]string{"NDPROXYD_INTERFACE": "lo", "NDPROXYD_RULE": "x"}, stdout: valid + ": valid"},
		{name: "variables of file and flags", args: []string{"check"}, vars: map[string]string{"NDPROXYD_CONFIG": valid, "NDPROXYD_INTERFACE": "none9"}, code: 2, stderr: "NDPROXYD_CONFIG"},
		{name: "ndppd.conf under another name", args: []string{"check", "--config", other}, code: 2, stderr: other + ":1:1: this looks like an ndppd.conf"},
		{name: "no such uplink", args: []string{"check", "--config", stray}, stdout: "\"none9\" is no uplink"},
		{name: "no API server", args: []string{"check", "--config", clustered}, stdout: "the API server http://[::1]:1 could not be asked"},
		{name: "no rules", args: []string{"check", "--config", none}, stdout: "there is no rule"},
		{name: "loopback", args: []string{"run", "-i", "lo", "-r", "2001:db8::/64=static"}, code: 2, stderr: "loopback"},
		{name: "file by variable", args: []string{"check"}, vars: map[string]string{"NDPROXYD_CONFIG": valid}, stdout: "valid"},
		{name: "flag before variable", args: []string{"check", "--config", valid}, vars: map[string]string{"NDPROXYD_CONFIG": wrong}, stdout: "valid"},
		{name: "wrong variable", args: []string{"run", "-i", "none9"}, vars: map[string]string{"NDPROXYD_LOG_LEVEL": "loud"}, code: 2, stderr: "NDPROXYD_LOG_LEVEL"},
		{name: "log format", args: []string{"run", "-i", "none9", "-r", "2001:db8::/64=static", "--log-format", "xml"}, code: 2, stderr: `"xml" is not one of auto, text, json`},
		{name: "metrics address", args: []string{"run", "-i", "none9", "-r", "2001:db8::/64=static", "--metrics-listen", "x"}, code: 2, stderr: "--metrics-listen"},
		{name: "output format", args: []string{"status", "--output", "yaml"}, code: 2, stderr: `"yaml" is not one of text, json`},
		{name: "ndppd.conf", args: []string{"check", "--config", ndppd}, stdout: "valid, 1 uplink, 1 rule,"},
		{name: "odd ndppd.conf", args: []string{"check", "--config", odd}, code: 2, stderr: odd + ":1:31: length: "},
		{name: "odd ndppd.conf, lenient", args: []string{"check", "--config", odd, "--ndppd-lenient"}, stdout: "valid, 1 uplink, 1 rule,"},
		{name: "refused ndppd.conf, to run", args: []string{"run", "--config", refused}, code: 2, stderr: refused + ":1:15: methods: "},
		{name: "what ndppd ignores", args: []string{"check", "--config", ignored}, stdout: ignored + ":3:4: semicolon: "},
		{name: "empty proxy", args: []string{"check", "--config", empty}, stdout: empty + ":1:1: empty: "},
		{name: "lenient without a file", args: []string{"check", "--ndppd-lenient"}, code: 2, stderr: "goes with --config"},
		{name: "convert", args: []string{"convert", ndppd}, stdout: "  - prefix: \"2001:db8::/64\"\n    method: route", stderr: "deviation: auto answers"},
		{name: "convert an odd file", args: []string{"convert", odd}, code: 2, stderr: "length: /80; is read as /128"},
		{name: "unknown reason", args: []string{"watch", "--reason", "tired"}, code: 2, stderr: `--reason "tired" is not one of answered`},
		{name: "wrong prefix to watch", args: []string{"watch", "--prefix", "x"}, code: 2, stderr: "--prefix"},
		{name: "no daemon", args: []string{"status", "--control", "@ndproxyd-test-nobody"}, code: 1, stderr: `start one with "ndproxyd run"`},
		{name: "no daemon at a path", args: []string{"explain", "2001:db8::1", "--control", "/nonexistent/sock"}, code: 1, stderr: "no daemon serves /nonexistent/sock"},
		{name: "no address", args: []string{"explain"}, code: 2, stderr: "accepts 1 arg"},
		{name: "IPv4 address", args: []string{"explain", "192.0.2.1"}, code: 2, stderr: "is not an IPv6 address"},
		{name: "version", args: []string{"version"}, stdout: "ndproxyd devel"},
		{name: "completion", args: []string{"completion", "bash"}, stdout: "bash completion"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			code, stdout, stderr := call(t, tt.vars, tt.args...)
			if code != tt.code {
				t.Errorf("exit code is %d, want %d", code, tt.code)
			}
			if !strings.Contains(stdout, tt.stdout) || !strings.Contains(stderr, tt.stderr) {
				t.Errorf("wrote %q and %q, want %q and %q", stdout, stderr, tt.stdout, tt.stderr)
			}
		})
	}
}

// TestLongValue wants wrong values to be told without all of their octets.
func TestLongValue(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 1_000_000)
	file := write(t, "version: 1\nuplinks: [{interface: none9}]\nrules: [{prefix: "+long+", method: static}]\n")
	for _, args := range [][]string{
		{"check", "--config", file},
		{"check", "-i", "none9", "-r", long + "=static"},
		{"explain", long},
		{long},
		{"status", "--output", long},
	} {
		code, _, stderr := call(t, nil, args...)
		if code != 2 || len(stderr) > 1500 || !strings.Contains(stderr, "octets") {
			t.Errorf("%.20s: code %d, %d octets: %.300s", args, code, len(stderr), stderr)
		}
	}
}

// TestFlagsInHelp wants no name of a Go type, and no values of booleans.
func TestFlagsInHelp(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"--help"}, {"run", "--help"}, {"check", "--help"}, {"status", "--help"}} {
		_, stdout, _ := call(t, nil, args...)
		if !strings.Contains(stdout, "Flags:") || strings.Contains(stdout, "slog") || strings.Contains(stdout, "true|false") {
			t.Errorf("%s:\n%s", args, stdout)
		}
	}
	_, stdout, _ := call(t, nil, "run", "--help")
	if !strings.Contains(stdout, "--log-level LEVEL ") || !strings.Contains(stdout, "(default info)") {
		t.Errorf("got:\n%s", stdout)
	}
}

func TestVersionJSON(t *testing.T) {
	t.Parallel()
	_, stdout, _ := call(t, nil, "version", "--output", "json")
	var v map[string]string
	if err := json.Unmarshal([]byte(stdout), &v); err != nil || v["version"] != "devel" || v["go"] == "" {
		t.Errorf("got %q, %v", stdout, err)
	}
}

// TestHelp wants an example in the help of every command.
func TestHelp(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"run", "check", "explain", "status", "watch", "convert", "demo", "version"} {
		code, stdout, _ := call(t, nil, name, "--help")
		if code != 0 || !strings.Contains(stdout, "Examples:\n  ") {
			t.Errorf("%s --help ends with %d:\n%s", name, code, stdout)
		}
	}
}
