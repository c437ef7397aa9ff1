package importer

import (
	"slices"
	"strings"
	"testing"
)

// TestGuide: docs/from-wackamole.md has a row for every word of the grammar.
func TestGuide(t *testing.T) {
	guide := read(t, "../docs/from-wackamole.md")
	var rows []string
	for l := range strings.Lines(guide) {
		if cells := strings.Split(l, "|"); len(cells) > 2 {
			rows = append(rows, strings.ToLower(cells[1]))
		}
	}
	for word := range keywords {
		if word == "balance" { // its block has no meaning of its own
			continue
		}
		if !slices.ContainsFunc(rows, func(row string) bool { return strings.Contains(row, word) }) {
			t.Errorf("no row of the guide has %s", word)
		}
	}
	if len(rows) < len(directives) {
		t.Errorf("only %d rows were found", len(rows))
	}
}
