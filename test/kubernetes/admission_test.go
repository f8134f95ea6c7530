// SPDX-License-Identifier: Apache-2.0

package kubernetes

import (
	"context"
	"os"
	"strings"
	"testing"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	client "k8s.io/client-go/kubernetes/typed/coordination/v1"

	"github.com/ndproxyd/ndproxyd/test/harness"
	"github.com/ndproxyd/ndproxyd/test/kubernetes/cluster"
)

// applyPolicy applies the admission policy of the manifests, for a rule about a prefix.
func applyPolicy(t *testing.T, c *cluster.Cluster, prefix string) {
	t.Helper()
	b, err := os.ReadFile("../../deploy/kubernetes/admission.yaml")
	harness.Must(t, err)
	text := strings.Replace(string(b), "expression: '[]'", "expression: '[\""+prefix+"\"]'", 1)
	if text == string(b) {
		t.Fatal("the policy has no list of prefixes")
	}
	c.Apply(text)
}

// admitRecords wants an agent of n1, with a rule for 2001:db8:1:0:e::/112, to write
// nothing into its lease that an agent does not.
func admitRecords(t *testing.T, leases client.LeaseInterface) {
	t.Helper()
	const mac = `"mac":"02:00:00:00:00:01"`
	record := func(link, rest string) string { return `{"links":[{` + link + `}],` + rest + `}` }
	tests := []struct {
		name, holder, record string
		admitted             bool
	}{
		{"as an agent writes it", "n1_a", record(mac+`,"prefixes":["2001:db8:1:0:e::/112"],"on_link":["2001:db8:1::/64"]`, `"weight":16,"settled":true`), true},
		{"part of the rule's prefix", "n1_a", record(mac+`,"prefixes":["2001:db8:1:0:e::/120","2001:db8:1:0:e::1/128"],"on_link":null`, `"weight":1`), true},
		{"no rule", "n1_a", record(mac+`,"prefixes":null,"on_link":null`, `"weight":1`), true},
		{"no link", "n1_a", `{"links":null,"weight":1,"settled":false}`, true},
		{"a word with quotes", "n1_a", record(mac+`,"prefixes":[]`, `"weight":1,"excluded":"Get \"http://localhost/?a&b\": \"prefixes\":[\"::/0\"]"`), true},
		{"a field of a later version", "n1_a", record(mac+`,"prefixes":[],"addresses":["2001:db8::1"]`, `"weight":1,"hears":["n2"]`), true},
		{"another prefix", "n1_a", record(mac+`,"prefixes":["2001:db8:1:0:d::/112"]`, `"weight":1`), false},
		{"a wider prefix", "n1_a", record(mac+`,"prefixes":["2001:db8:1:0:e::/112","::/0"]`, `"weight":1`), false},
		{"a second list", "n1_a", record(mac+`,"prefixes":["2001:db8:1:0:e::/112"],"prefixes":["::/0"]`, `"weight":1`), false},
		{"another case", "n1_a", record(mac+`,"PREFIXES":["::/0"]`, `"weight":1`), false},
		{"a letter that folds", "n1_a", record(mac+`,"prefixeſ":["::/0"]`, `"weight":1`), false},
		{"an escape", "n1_a", record(mac+`,"\u0070refixes":["::/0"]`, `"weight":1`), false},
		{"spaces", "n1_a", record(mac+`,"prefixes" : [ "::/0" ]`, `"weight":1`), false},
		{"no weight", "n1_a", record(mac+`,"prefixes":[]`, `"weight":0`), false},
		{"too much weight", "n1_a", record(mac+`,"prefixes":[]`, `"weight":17`), false},
		{"two weights", "n1_a", record(mac+`,"prefixes":[]`, `"weight":1,"Weight":200`), false},
		{"the address of a group", "n1_a", record(`"mac":"33:33:00:00:00:01","prefixes":[]`, `"weight":1`), false},
		{"no address", "n1_a", record(`"mac":"00:00:00:00:00:00","prefixes":[]`, `"weight":1`), false},
		{"a word for an address", "n1_a", record(`"mac":"all","prefixes":[]`, `"weight":1`), false},
		{"too many addresses", "n1_a", `{"links":[` + strings.Repeat("{"+mac+`},`, 64) + "{" + mac + `}],"weight":1}`, false},
		{"the process of a daemon, which is named by its number", "4711_a", record(mac+`,"prefixes":[]`, `"weight":1`), true},
	}
	for _, tt := range tests {
		l := &coordinationv1.Lease{
			ObjectMeta: metav1.ObjectMeta{Name: "ndproxyd-n1", Annotations: map[string]string{"ndproxyd.github.io/announcer": tt.record}},
			Spec:       coordinationv1.LeaseSpec{HolderIdentity: &tt.holder},
		}
		_, err := leases.Create(context.Background(), l, metav1.CreateOptions{})
		if (err == nil) != tt.admitted {
			t.Errorf("%s: %v", tt.name, err)
		}
		if err == nil {
			harness.Must(t, leases.Delete(context.Background(), l.Name, metav1.DeleteOptions{}))
		}
	}
}
