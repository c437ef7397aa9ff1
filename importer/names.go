package importer

import "strings"

// maxName is shorter than what viplease takes: the name of a group is in the
// path of its control socket, which has little room, and may get a suffix.
const maxName = 64

func inName(c byte) bool {
	return c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || strings.IndexByte("._:-", c) >= 0
}

// isName says whether viplease takes s as the name of a node.
func isName(s string) bool {
	for i := range len(s) {
		if !inName(s[i]) {
			return false
		}
	}
	return s != "" && len(s) <= maxName
}

// toName makes a name of s: "-" for what cannot be in one; "" if nothing is
// left.
func toName(s string) string {
	b := []byte(s[:min(len(s), maxName)])
	for i, c := range b {
		if !inName(c) {
			b[i] = '-'
		}
	}
	return strings.Trim(string(b), "-")
}

// nearest returns the word that was probably meant, or "".
func nearest(s string, words []string) string {
	best, least := "", max(2, len(s)/3)+1
	for _, w := range words {
		if d := distance(strings.ToLower(s), strings.ToLower(w)); d < least {
			best, least = w, d
		}
	}
	return best
}

// distance is the number of bytes to insert, remove or replace to get from a
// to b (Levenshtein), bounded: what is far longer counts as far.
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
