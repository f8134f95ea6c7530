// SPDX-License-Identifier: Apache-2.0

package config

// maxWord is the longest word that may be a misspelled one.
const maxWord = 64

// nearest returns the candidate that differs least from s, or "" when none is
// similar enough to be what was meant.
func nearest(s string, candidates []string) string {
	if len(s) > maxWord {
		return ""
	}
	best, limit := "", max(2, len(s)/3)+1
	for _, c := range candidates {
		if d := distance(s, c); d < limit {
			best, limit = c, d
		}
	}
	return best
}

// distance is the number of octets to insert, delete, replace or swap with a
// neighbor to get from a to b (optimal string alignment).
func distance(a, b string) int {
	prev2, prev, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(prev[j]+1, row[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], prev2[j-2]+1)
			}
		}
		prev2, prev, row = prev, row, prev2
	}
	return prev[len(b)]
}

// didYouMean returns a hint for the end of an error message, or "".
func didYouMean(s string, candidates []string) string {
	if n := nearest(s, candidates); n != "" {
		return ` (did you mean "` + n + `"?)`
	}
	return ""
}
