// Package placement decides which node holds which VIP.
//
// It is a pure function: the members and the VIPs go in, an assignment and the
// moves that lead to it come out. It knows no clock, does no I/O, starts no
// goroutine and draws no random number, and the order of its input never
// matters, so every node of a cluster that sees the same state computes the
// same plan and no leader is needed.
//
// # What is a good placement?
//
// In this order, each aim counting only as far as those before it leave a choice:
//
//  1. A pinned VIP is on its pin, if that member is ready and can hold it.
//     Otherwise a VIP with preferences is on the first of them that is ready
//     and can hold it. A pin or preference that cannot be had is passed over.
//  2. The load is even: the sum over nodes of load squared / weight is the
//     smallest that eligibility allows. Every VIP counts 1. Pinned and preferred
//     VIPs are part of the load, and the others are laid around them. With
//     equal weights and eligibility the counts differ by at most one.
//  3. As few VIPs as possible leave a live holder: one that is ready and can
//     hold the VIP. Leaving any other holder is forced and counts nothing.
//  4. VIPs that share a spread tag sit apart: the sum over tags and nodes of
//     the pairs of VIPs with that tag on that node is the smallest.
//  5. What is left is decided by the order of the names alone.
//
// All four are exact minima, not approximations. Planning the result of a plan
// again moves nothing.
//
// # What do Failback, Frozen and MovesPerRound change?
//
// Without Failback a preference only decides where a VIP goes that has no live
// holder. A VIP with one stays free to be balanced, except that it is kept
// where it is when that is the node its preference would choose: else the
// placement of a VIP by preference would be undone by the next plan.
//
// Frozen keeps every VIP whose holder is a listed member where it is, ready or
// not, pinned elsewhere or not; only the rest is placed. A holder that must
// not keep its VIPs through a freeze, because it is dead, must not be listed.
//
// Moves that nobody should wait for have round 0: those of VIPs without a live
// holder, and those to a pin. Homecoming (a preferred node is back) and balance
// moves are dealt into rounds 1, 2, ... of at most MovesPerRound, the most
// useful first. With MovesPerRound 0 there are none of these, and the rest is
// placed as evenly as it can be around the VIPs that stay.
//
// # How is it computed?
//
// As a minimum-cost flow, one aim at a time. Each stage ends with node prices
// (the dual solution) which tell, by complementary slackness, what *every*
// optimum of that aim looks like: on which nodes each VIP may be and how many
// VIPs each node may have. The next stage chooses among exactly these, so
// costs of different aims are never mixed.
//
// The load (load.go) is evened along cost-reducing paths (Harvey, Ladner,
// Lovász, Tamir: Semi-matchings for bipartite graphs and load balancing, J.
// Algorithms 59, 2006, extended to weights). Moves and pairs (flow.go) are
// primal-dual flows over nodes, and over (tag, node) groups, with sets of
// nodes as bit rows.
package placement
