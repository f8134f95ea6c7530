// SPDX-License-Identifier: Apache-2.0

package reference_test

import (
	"flag"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/ndproxyd/ndproxyd/internal/config"
	"github.com/ndproxyd/ndproxyd/internal/reference"
	"github.com/ndproxyd/ndproxyd/internal/web"
)

// update writes the files anew instead of comparing them: "make reference".
var update = flag.Bool("update", false, "write the documentation anew")

// examplePath is where the packages take their configuration file from.
const examplePath = "../../deploy/package/config.yaml"

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// compare holds a file to what it should be, or writes it.
func compare(t *testing.T, path, want string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if read(t, path) != want {
		t.Errorf(`%s is not what the code says: run "make reference"`, path)
	}
}

func TestTables(t *testing.T) {
	for _, c := range []struct{ path, name, table string }{
		{"configuration.md", "keys of uplinks", reference.Keys("", config.UplinkKeys())},
		{"configuration.md", "keys of rules", reference.Keys("", config.RuleKeys())},
		{"configuration.md", "keys of devices", reference.Keys("", config.DeviceKeys())},
		{"configuration.md", "methods", reference.Methods()},
		{"configuration.md", "keys about programs in the kernel", reference.Keys("", config.FastPathKeys())},
		{"configuration.md", "keys of metrics and health", reference.Keys("metrics.", config.MetricsKeys()) + rows(reference.Keys("health.", config.HealthKeys()))},
		{"kubernetes.md", "keys of kubernetes", reference.Keys("", config.KubernetesKeys())},
		{"metrics.md", "metrics", reference.Metrics(web.Metrics())},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := "../../docs/" + c.path
			want, err := reference.Replace(read(t, path), c.name, c.table)
			if err != nil {
				t.Fatal(err)
			}
			compare(t, path, want)
		})
	}
}

// rows are those of a table without its head.
func rows(table string) string {
	lines := slices.Collect(strings.Lines(table))
	return strings.Join(lines[2:], "")
}

// uncomment takes the first # off the lines that are keys and not prose.
var uncomment = regexp.MustCompile(`(?m)^#((?:  )*(?:- )?[a-z_]+:)`)

// TestExample parses the packages' file, as it is and with all keys in force.
func TestExample(t *testing.T) {
	compare(t, examplePath, reference.Example())
	c, err := config.Parse(examplePath, []byte(reference.Example()))
	if err != nil || !c.DiscoverRules || len(c.Uplinks) != 0 {
		t.Errorf("the file as it is: %+v, %v", c, err)
	}
	all := uncomment.ReplaceAllString(reference.Example(), "$1")
	all = regexp.MustCompile(`(?m)^    (devices|kind|autowire|targets|timeout|retries|ttl|deadtime|web_config):.*\n`).ReplaceAllString(all, "")
	all = strings.Replace(all, "    kinds: [load-balancer, external-ip]\n", "", 1) // of the rule, which is one for routes
	all = strings.Replace(all, "  web_config: /etc/ndproxyd/web.yaml\n", "", 1)    // there is no such file here
	c, err = config.Parse(examplePath, []byte(all))
	if err != nil {
		t.Fatalf("%v in\n%s", err, all)
	}
	if len(c.Uplinks) != 1 || len(c.Rules) != 1 || c.Kubernetes == nil || c.HealthListen == "" {
		t.Errorf("every key in force: %+v", c)
	}
}

// known finds the keys in the error of an unknown one.
var known = regexp.MustCompile(`known keys: (.*)`)

// TestKeysAreComplete asks the parser for the keys that it knows.
func TestKeysAreComplete(t *testing.T) {
	inner := func(keys []config.Key, outer string) (names []string) {
		for _, k := range keys {
			before, after, nested := strings.Cut(k.Name, ".")
			switch {
			case nested && outer == before:
				names = append(names, after)
			case outer == "" && !slices.Contains(names, before):
				names = append(names, before)
			}
		}
		return names
	}
	for name, c := range map[string]struct {
		yaml string
		want []string
	}{
		"uplinks":             {"uplinks: [{zzzzzzzzzz: 1}]", inner(config.UplinkKeys(), "")},
		"rules":               {"rules: [{zzzzzzzzzz: 1}]", inner(config.RuleKeys(), "")},
		"devices":             {"devices: [{zzzzzzzzzz: 1}]", inner(config.DeviceKeys(), "")},
		"kubernetes":          {"kubernetes: {zzzzzzzzzz: 1}", inner(config.KubernetesKeys(), "")},
		"kubernetes.services": {"kubernetes: {services: {zzzzzzzzzz: 1}}", inner(config.KubernetesKeys(), "services")},
		"metrics":             {"metrics: {zzzzzzzzzz: 1}", inner(config.MetricsKeys(), "")},
		"health":              {"health: {zzzzzzzzzz: 1}", inner(config.HealthKeys(), "")},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := config.Parse("c.yaml", []byte("version: 1\n"+c.yaml+"\n"))
			if err == nil {
				t.Fatal("the unknown key is known")
			}
			m := known.FindStringSubmatch(err.Error())
			if m == nil {
				t.Fatalf("no keys in %v", err)
			}
			got := strings.Split(m[1], ", ")
			slices.Sort(got)
			slices.Sort(c.want)
			if !slices.Equal(got, c.want) {
				t.Errorf("the parser knows %v, the reference %v", got, c.want)
			}
		})
	}
}
