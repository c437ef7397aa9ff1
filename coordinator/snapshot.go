package coordinator

import (
	"time"

	"viplease/coordinator/plan"
)

// Snapshot is what one node knows of the whole cluster at one moment: what `status` shows. It is immutable once published; its JSON is part of the
// contract with the outside: fields may be added, never renamed.
type Snapshot struct {
	Group    string         `json:"group"`
	Node     string         `json:"node"`
	Source   string         `json:"source"` // "daemon", or "etcd" when no daemon answered and the keys were read directly
	Version  string         `json:"version"`
	Revision int64          `json:"revision"` // etcd's revision that Members and VIPs show
	Frozen   string         `json:"frozen,omitempty"`
	Etcd     EtcdStatus     `json:"etcd"`
	Self     SelfStatus     `json:"self"`
	Takeover FastStatus     `json:"takeover"` // this node's part in fast takeover
	Members  []MemberStatus `json:"members"`  // by node name
	VIPs     []VIPStatus    `json:"vips"`     // by name
	Events   []Event        `json:"events"`   // oldest first, the last few hundred
}

// EtcdStatus is this node's standing with etcd.
type EtcdStatus struct {
	Reachable   bool   `json:"reachable"`         // the last authority check was answered
	AuthorityMS int64  `json:"authority_ms"`      // how long this node may still show its addresses without another good check; 0: not at all
	Trouble     string `json:"trouble,omitempty"` // why not reachable, in words
}

// SelfStatus is what only the node itself knows.
type SelfStatus struct {
	Answers    bool   `json:"answers"` // the coordinator's loop turns
	Registered bool   `json:"registered"`
	Trouble    string `json:"trouble,omitempty"` // what keeps this node from its work, in words; "" when nothing does
}

// MemberStatus is one node of the cluster, VIPStatus one virtual IP.
type (
	MemberStatus = plan.MemberStatus
	VIPStatus    = plan.VIPStatus
	FastStatus   = plan.FastStatus
	LinkStatus   = plan.LinkStatus
)

// Event is something an operator may want to know about, as this node saw it.
type Event struct {
	At   time.Time `json:"at"`
	VIP  string    `json:"vip"`
	Node string    `json:"node"`
	What string    `json:"what"`
	Why  string    `json:"why"`

	Cause string `json:"cause,omitempty"` // of a VIP that was claimed or transferred: why, in one of a few words
}

// AllHeld tells whether every VIP is held: the exit status of `status`.
func (s Snapshot) AllHeld() bool {
	for _, v := range s.VIPs {
		if v.State != "held" && v.State != "moving" {
			return false
		}
	}
	return true
}
