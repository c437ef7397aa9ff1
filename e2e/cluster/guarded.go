package cluster

import "time"

// Guarded waits until the cluster is at rest, in fast mode with guards: until every node that lives says that it has a witness, and somebody to guard.
func (c *Cluster) Guarded() {
	c.t.Helper()
	c.Settled()
	if !c.Fast() {
		return
	}
	deadline := time.Now().Add(10 * time.Second)
	for !c.guards() {
		if time.Now().After(deadline) {
			c.t.Fatalf("not every node has a witness and a ward after 10 s\n%s", c.Layout())
		}
		<-time.After(5 * time.Millisecond) // a status has no event to wait for
	}
	c.Settled() // the claims say so
}

func (c *Cluster) guards() bool {
	for _, n := range c.Alive() {
		s, err := c.Status(n)
		if err != nil || s.Takeover.Guards == 0 || len(s.Takeover.Links) == 0 || !s.Takeover.Links[0].Witness {
			return false
		}
	}
	return true
}
