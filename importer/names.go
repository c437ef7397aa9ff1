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
