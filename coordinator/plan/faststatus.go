package plan

// FastCounts are numbers since the start of the daemon.
type FastCounts struct {
	Challenges  int `json:"challenges"`  // this node's, committed
	Consents    int `json:"consents"`    // to those of another guard
	Cancelled   int `json:"cancelled"`   // taken back
	Refuted     int `json:"refuted"`     // against this node, refuted
	Evictions   int `json:"evictions"`   // by this node
	Evicted     int `json:"evicted"`     // of this node
	Quarantines int `json:"quarantines"` // how often it was cut off on an interface
}

// LinkStatus is how a node stands on one interface in fast takeover. Its JSON is part of the contract with the outside.
type LinkStatus struct {
	Link    string `json:"link"`
	Witness bool   `json:"witness"` // it can tell being cut off from the death of others: without it its VIPs wait W
	Lost    bool   `json:"lost,omitempty"`
}

// FastStatus is this node's part in fast takeover. Its JSON is part of the contract with the outside.
type FastStatus struct {
	On     bool         `json:"on"`
	Guards int          `json:"guards"` // others that guard this node
	Links  []LinkStatus `json:"links"`
	FastCounts
}

// Fast tells how this node stands in fast takeover.
func (v *View) Fast() FastStatus {
	s := FastStatus{On: v.takesPart(), Links: []LinkStatus{}, FastCounts: v.fast.counts}
	if !s.On {
		return s
	}
	for _, node := range sortedKeys(v.etcd.members) {
		if node != v.cfg.Node && v.ready(node) && v.etcd.states[node].Fast && s.Guards < 2 {
			s.Guards++
		}
	}
	links := map[string]bool{}
	for _, l := range v.local {
		for _, a := range l.place.Addresses {
			links[a.Link] = true
		}
	}
	for _, name := range sortedKeys(links) {
		on := v.fast.links[name]
		s.Links = append(s.Links, LinkStatus{Link: name, Witness: on.basis, Lost: on.lost})
	}
	return s
}

// Slow says why the VIPs of this node would be taken over only after W although fast takeover is on; "" if they would not.
func (t FastStatus) Slow() string {
	if !t.On {
		return ""
	}
	for _, l := range t.Links {
		switch {
		case l.Lost:
			return "nobody is heard on " + l.Link + "; this node holds no VIP there"
		case !l.Witness:
			return "no witness on " + l.Link + ": no gateway and no third member answers there, so its VIPs wait W; name a host in takeover.witnesses"
		}
	}
	if t.Guards == 0 {
		return "no guard: no other member is ready for fast takeover, so this node's VIPs wait W"
	}
	return ""
}
