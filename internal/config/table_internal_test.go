// SPDX-License-Identifier: Apache-2.0

package config

import (
	"maps"
	"os"
	"path/filepath"
	"testing"
)

func TestTableNames(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, content := range map[string]string{
		"rt_tables": "#\n# reserved\n255\tlocal\n254 main\n7 main\n0x64 hundred # a comment\n0 unspec\n5000000000 large\n101 two words\nx y\n200 mine\n",
		"a.conf":    "201 mine\n202 more",
		"b.conf":    "203 more\n204 last\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got := tableNames([]string{filepath.Join(dir, "rt_tables"), filepath.Join(dir, "*.conf"), filepath.Join(dir, "absent")})
	want := map[string]uint32{"local": 255, "main": 254, "default": 253, "hundred": 100, "mine": 200, "more": 202, "last": 204}
	if !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
