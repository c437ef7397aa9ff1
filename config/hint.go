package config

import (
	"fmt"
	"maps"
	"slices"
)

// hint says which key was probably meant by an unknown one in the table
// named section: the nearest of that table, else the same key elsewhere.
func hint(section, key string, known map[string][]string) string {
	best, least := "", max(2, len(key)/3)+1
	for _, k := range known[section] {
		if d := distance(key, k); d < least {
			best, least = k, d
		}
	}
	if best != "" {
		return fmt.Sprintf("; did you mean %s?", best)
	}
	for _, s := range slices.Sorted(maps.Keys(known)) {
		if slices.Contains(known[s], key) {
			return fmt.Sprintf("; did you mean %s?", child(s, key))
		}
	}
	return "; remove it"
}

// distance is the number of letters to insert, remove or replace to get from
// a to b (Levenshtein), bounded: keys that are far longer count as far.
func distance(a, b string) int {
	if len(a) > len(b)+16 {
		return len(a)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			d := diagonal
			if a[i] != b[j] {
				d = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], d
		}
	}
	return row[len(b)]
}
