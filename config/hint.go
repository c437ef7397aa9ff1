package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// hint says which key was probably meant by an unknown one in the table
// named section: the nearest of that table, else the same key elsewhere.
func hint(section, key string, known map[string][]string) string {
	if best := Nearest(key, known[section]); best != "" {
		return fmt.Sprintf("; did you mean %s?", best)
	}
	for _, s := range slices.Sorted(maps.Keys(known)) {
		if slices.Contains(known[s], key) {
			return fmt.Sprintf("; did you mean %s?", child(s, key))
		}
	}
	return "; remove it"
}

// Nearest returns the word that was probably meant, or "" where none is near.
// Capital letters are as good as small ones.
func Nearest(written string, words []string) string {
	best, least := "", max(2, len(written)/3)+1
	for _, w := range words {
		if d := distance(strings.ToLower(written), strings.ToLower(w)); d < least {
			best, least = w, d
		}
	}
	return best
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
