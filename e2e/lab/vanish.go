package lab

import "fmt"

// Vanish removes the interface from the host, with all that hung on it, as a driver that is unloaded does.
func (p *Port) Vanish() {
	p.host.lab.t.Helper()
	p.host.lab.check(p.unplug(), fmt.Sprintf("remove %v", p))
}

// Appear brings the interface back, with its own addresses alone and with another index.
func (p *Port) Appear() {
	l := p.host.lab
	l.t.Helper()
	err := p.plug()
	if err == nil {
		err = l.settle(p)
	}
	l.check(err, fmt.Sprintf("bring %v back", p))
}

// Index is the number of the interface on the host now.
func (p *Port) Index() int {
	p.host.lab.t.Helper()
	link, err := p.host.link.LinkByName(p.Name)
	p.host.lab.check(err, fmt.Sprintf("find %v", p))
	return link.Attrs().Index
}
