// SPDX-License-Identifier: Apache-2.0

package fastpath

import "testing"

func TestRelease(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		release string
		ok      bool
	}{
		{"4.19.0-27-amd64", false},
		{"5.4.0-216-generic", false},
		{"5.10.0-46-cloud-amd64", false},
		{"5.11.0", true},
		{"5.15.0-171-generic", true},
		{"6.1.0-56-cloud-amd64", true},
		{"6.12.118+deb13-s390x", true},
		{"7.3-rc1", true},
		{"10.0.0", true},
		{"next", false},
		{"", false},
	} {
		if err := checkRelease(c.release); (err == nil) != c.ok {
			t.Errorf("release %q: %v", c.release, err)
		}
	}
}
