// SPDX-License-Identifier: Apache-2.0

package main

import "testing"

func TestReplaceTables(t *testing.T) {
	for _, test := range []struct {
		name, page, want string
	}{
		{"empty place", "a\n" + tablesBegin + tablesEnd + "b\n", "a\n" + tablesBegin + "t\n\n" + tablesEnd + "b\n"},
		{"other tables", "a\n" + tablesBegin + "old\n" + tablesEnd + "b\n", "a\n" + tablesBegin + "t\n\n" + tablesEnd + "b\n"},
		{"no place", "a\nb\n", ""},
		{"no end", "a\n" + tablesBegin + "b\n", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := replaceTables([]byte(test.page), []byte("t\n"))
			if string(got) != test.want || (err != nil) != (test.want == "") {
				t.Errorf("got %q, %v", got, err)
			}
		})
	}
}
