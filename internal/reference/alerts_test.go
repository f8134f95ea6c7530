// SPDX-License-Identifier: Apache-2.0

package reference_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/ndproxyd/ndproxyd/internal/web"
)

var (
	metricName = regexp.MustCompile(`\bndproxyd_[a-z0-9_]+`)
	series     = regexp.MustCompile(`series: '(ndproxyd_\w+)\{([^}]*)\}'`)
	label      = regexp.MustCompile(`(\w+)="`)
)

// metric returns the labels of a metric of the daemon, whose name may be that of a
// histogram's series.
func metric(name string) ([]string, bool) {
	for _, m := range web.Metrics() {
		for _, suffix := range []string{"", "_bucket", "_count", "_sum"} {
			if name == m.Name+suffix {
				return m.Labels, true
			}
		}
	}
	return nil, false
}

// TestAlertSeries wants the daemon to have what alerts, the dashboard and the tests of
// the alerts name, with these labels: an alert on anything else could never fire.
func TestAlertSeries(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"deploy/prometheus/rules.yaml", "deploy/prometheus/dashboard.json"} {
		for _, name := range metricName.FindAllString(read(t, "../../"+path), -1) {
			if _, ok := metric(name); !ok {
				t.Errorf("%s: the daemon has no metric %s", path, name)
			}
		}
	}
	const tests = "test/kubernetes/monitoring/alerts.yaml"
	for _, m := range series.FindAllStringSubmatch(read(t, "../../"+tests), -1) {
		want, ok := metric(m[1])
		if !ok {
			t.Errorf("%s: the daemon has no metric %s", tests, m[1])
		}
		var got []string
		for _, l := range label.FindAllStringSubmatch(m[2], -1) {
			if !slices.Contains([]string{"job", "instance", "node", "pod", "le"}, l[1]) { // which a scrape adds
				got = append(got, l[1])
			}
		}
		slices.Sort(got)
		sorted := slices.Sorted(slices.Values(want))
		if strings.Join(got, ",") != strings.Join(sorted, ",") {
			t.Errorf("%s: %s has the labels %v, the daemon's has %v", tests, m[0], got, sorted)
		}
	}
}
