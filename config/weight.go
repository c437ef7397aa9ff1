package config

import (
	"maps"
	"slices"
)

// maxWeight is the largest weight that the placement counts with.
const maxWeight = 1000

// readWeight reads the share of the load that this node takes in proportion to
// the others: a number is this node's, a table has the nodes' by name, so that
// one file can serve all. A node that it does not name has 1.
func readWeight(top table, node string) int {
	if _, byNode := top.values["weight"].(map[string]any); !byNode {
		return top.number("weight", 1, 1, maxWeight)
	}
	weights, mine := top.table("weight"), 1
	for _, name := range slices.Sorted(maps.Keys(weights.values)) {
		if why := badName(name); why != "" {
			weights.value(name) // or it would be unknown as well
			weights.problem(name, "%s %s", quote(name), why)
			continue
		}
		if n := weights.number(name, 1, 1, maxWeight); name == node {
			mine = n
		}
	}
	return mine
}
