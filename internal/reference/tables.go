// SPDX-License-Identifier: Apache-2.0

package reference

import (
	"fmt"
	"strings"

	"github.com/ndproxyd/ndproxyd/internal/config"
	"github.com/ndproxyd/ndproxyd/internal/web"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// Keys is a table of keys of the configuration file. prefix goes before each name.
func Keys(prefix string, keys []config.Key) string {
	values := false
	for _, k := range keys {
		values = values || k.Values != ""
	}
	var b strings.Builder
	if values {
		b.WriteString("| key | values | default | meaning |\n|---|---|---|---|\n")
	} else {
		b.WriteString("| key | default | meaning |\n|---|---|---|\n")
	}
	for _, k := range keys {
		fmt.Fprintf(&b, "| `%s%s` |", prefix, k.Name)
		if values {
			fmt.Fprintf(&b, " %s |", k.Values)
		}
		fmt.Fprintf(&b, " %s | %s |\n", k.Default, k.Meaning)
	}
	return b.String()
}

// Methods is a table of the methods that a rule may name.
func Methods() string {
	var b strings.Builder
	b.WriteString("| method | answers for |\n|---|---|\n")
	for _, m := range rules.Methods() {
		fmt.Fprintf(&b, "| `%s` | %s |\n", m, m.Covers())
	}
	return b.String()
}

// Metrics is a table of metrics.
func Metrics(metrics []web.MetricInfo) string {
	var b strings.Builder
	b.WriteString("| name | labels | meaning |\n|---|---|---|\n")
	for _, m := range metrics {
		labels := ""
		if len(m.Labels) > 0 {
			labels = " `" + strings.Join(m.Labels, "`, `") + "`"
		}
		fmt.Fprintf(&b, "| `%s` |%s | %s |\n", m.Name, labels, strings.TrimSuffix(m.Help, "."))
	}
	return b.String()
}

// Replace puts a table into the place that a text has for it, between the comments
// <!-- name --> and <!-- end -->.
func Replace(text, name, table string) (string, error) {
	begin, end := "<!-- "+name+" -->\n", "<!-- end -->"
	before, rest, ok := strings.Cut(text, begin)
	if !ok {
		return "", fmt.Errorf("no place for %s: it is %q", name, begin)
	}
	_, after, ok := strings.Cut(rest, end)
	if !ok {
		return "", fmt.Errorf("the place for %s has no %q", name, end)
	}
	return before + begin + table + end + after, nil
}
