// SPDX-License-Identifier: Apache-2.0

package daemon

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ndproxyd/ndproxyd/internal/status"
	"github.com/ndproxyd/ndproxyd/internal/uplink"
	"github.com/ndproxyd/ndproxyd/pkg/ndp"
	"github.com/ndproxyd/ndproxyd/pkg/rules"
)

// TestAnswerer explains who answers for an address.
func TestAnswerer(t *testing.T) {
	t.Parallel()
	since := time.Unix(1, 0)
	socket := ndp.Path{Since: since, Why: "there is no bpffs"}
	program := ndp.Path{Way: ndp.WayTC, Hook: "tcx", Since: since}
	yes := rules.Verdict{Answer: true}
	const behind = "  answered by    a program in the kernel, tc (tcx); the packet socket stands behind it\n"
	for _, tt := range []struct {
		name    string
		path    ndp.Path
		config  rules.Uplink
		verdict rules.Verdict
		reason  ndp.Reason
		want    string
	}{
		{"nobody", ndp.Path{}, rules.Uplink{}, yes, ndp.Answered, ""},
		{"not answered", program, rules.Uplink{}, rules.Verdict{}, ndp.Silent(rules.NoRoute), ""},
		{"the socket, by itself", socket, rules.Uplink{}, yes, ndp.Answered, ""},
		{"the socket, not as asked", socket, rules.Uplink{FastPath: rules.FastPathTC}, yes, ndp.Answered, "  answered by    the packet socket: there is no bpffs\n"},
		{"the socket alone", ndp.Path{Since: since}, rules.Uplink{FastPath: rules.FastPathOff}, yes, ndp.Answered, ""},
		{"the program", program, rules.Uplink{}, yes, ndp.Answered, behind + "  by the socket  duplicate address detection\n"},
		{
			"XDP", ndp.Path{Way: ndp.WayXDPGeneric, Hook: "xdp generic", Since: since}, rules.Uplink{}, yes, ndp.Answered,
			"  answered by    a program in the kernel, xdp-generic; the packet socket stands behind it\n  by the socket  duplicate address detection\n",
		},
		{
			"a delay", program, rules.Uplink{}, rules.Verdict{Answer: true, Delay: time.Second}, ndp.Answered,
			behind + "  by the socket  duplicate address detection\n  by the socket  multicast solicitations: the rule has a delay of up to 1s\n",
		},
		{
			"askers", program, rules.Uplink{IgnoreSources: []rules.Asker{{}}, RequireOnLinkSource: true}, yes, ndp.Answered,
			behind + "  by the socket  duplicate address detection\n" +
				"  by the socket  askers in ignore_sources, which get no answer\n" +
				"  by the socket  askers outside of the uplink's prefixes, which get no answer (require_onlink_source)\n",
		},
		{
			"asked first", program, rules.Uplink{}, rules.Verdict{Probe: true}, ndp.Probing,
			"  answered by    the packet socket: the address is asked for first, which the program in the kernel (tc) leaves to it\n",
		},
		{"asked first by the socket", socket, rules.Uplink{}, rules.Verdict{Probe: true}, ndp.Probing, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := &uplink.Facts{Config: tt.config, Path: tt.path}
			e := status.Explanation{Answers: []status.UplinkExplanation{{Interface: "eth0", Answerer: answerer(f, tt.verdict, tt.reason)}}}
			var b strings.Builder
			if err := e.WriteText(&b); err != nil {
				t.Fatal(err)
			}
			_, got, _ := strings.Cut(b.String(), "\n")
			if got != tt.want {
				t.Errorf("got\n%swant\n%s", got, tt.want)
			}
		})
	}
}

// TestFastPath shows which way answers, beside the setting.
func TestFastPath(t *testing.T) {
	t.Parallel()
	since := time.Now().Add(-time.Minute)
	for _, tt := range []struct {
		name string
		mode rules.FastPathMode
		path ndp.Path
		back bool
		want string // the rows of status, without spaces that align
	}{
		{"nothing answers", rules.FastPathTC, ndp.Path{}, false, ""},
		{"off", rules.FastPathOff, ndp.Path{Since: since}, false, "fast path none, the packet socket answers, for 1m0s"},
		{
			"not to be had, and nobody asked", rules.FastPathAuto, ndp.Path{Since: since, Why: "there is no bpffs"}, false,
			"fast path none, the packet socket answers, for 1m0s: there is no bpffs",
		},
		{
			"not to be had", rules.FastPathTC, ndp.Path{Since: since, Why: "there is no bpffs"}, true,
			"fast path none, the packet socket answers instead of tc, for 1m0s: there is no bpffs",
		},
		{
			"tc", rules.FastPathAuto, ndp.Path{Way: ndp.WayTC, Hook: "tcx", Since: since, Lines: 7, Pinned: "/sys/fs/bpf/ndproxyd/1/eth0"}, false,
			"fast path tc (tcx), for 1m0s, 7 lines\npinned in /sys/fs/bpf/ndproxyd/1/eth0: answers outlive the daemon",
		},
		{
			"a program of an earlier daemon", rules.FastPathAuto, ndp.Path{Since: since, Why: "no capability", Left: "pinned in /f"}, false,
			"fast path none, the packet socket answers, for 1m0s: no capability\n" +
				"left over pinned in /f: the program of an earlier daemon is attached, and answers until its hold ends; ndproxyd detach, as root, removes it",
		},
		{
			"tc, and not pinned", rules.FastPathTC, ndp.Path{Way: ndp.WayTC, Hook: "clsact", Since: since, Unpinned: "the bpffs is full"}, false,
			"fast path tc (clsact), for 1m0s, 0 lines\nnot pinned the bpffs is full: answers end with the daemon",
		},
		{
			"tc for XDP", rules.FastPathXDP, ndp.Path{Way: ndp.WayTC, Hook: "tcx", Since: since, Why: "xdp is taken by xdpfilt"}, true,
			"fast path tc (tcx) instead of xdp, for 1m0s, 0 lines: xdp is taken by xdpfilt",
		},
		{
			"tc for XDP, for now", rules.FastPathXDP, ndp.Path{Way: ndp.WayTC, Hook: "tcx", Since: since, Why: "xdp is taken", Again: since}, true,
			"fast path tc (tcx) instead of xdp, for 1m0s, 0 lines: xdp is taken; tried again in 0s",
		},
		{
			"generic XDP for the driver's", rules.FastPathXDP, ndp.Path{Way: ndp.WayXDPGeneric, Hook: "xdp generic", Since: since}, true,
			"fast path xdp-generic instead of xdp, for 1m0s, 0 lines",
		},
		{
			"XDP of an earlier daemon", rules.FastPathXDP, ndp.Path{Way: ndp.WayXDP, Hook: "xdp native", Since: since, Lines: 9, Inherited: 3}, false,
			"fast path xdp (native), for 1m0s, 9 lines, 3 inherited and not confirmed yet",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := fastPath(&uplink.Facts{Config: rules.Uplink{FastPath: tt.mode}, Path: tt.path})
			if got != nil && got.FellBack != tt.back {
				t.Errorf("fell back: %t", got.FellBack)
			}
			var b strings.Builder
			if err := (status.Status{Uplinks: []status.Uplink{{Interface: "eth0", FastPath: got}}}).WriteText(&b); err != nil {
				t.Fatal(err)
			}
			want := tt.want
			if want != "" {
				want += "\n"
			}
			// The age is one of a slow machine, too.
			var rows strings.Builder
			for line := range strings.Lines(b.String()) {
				words := strings.Fields(line)
				if len(words) > 0 && (words[0] == "fast" || words[0] == "pinned" || words[0] == "not" || words[0] == "left") {
					rows.WriteString(strings.Join(words, " ") + "\n")
				}
			}
			if got := age.ReplaceAllString(rows.String(), "for 1m0s"); got != want {
				t.Errorf("got\n%swant\n%s", got, want)
			}
		})
	}
}

// age is how long something has lasted.
var age = regexp.MustCompile(`for [0-9hms]+`)
