package plan

import "time"

// Before an address is raised whose last holder may not be what answers, the LAN is asked who uses it, which takes 0.2 s and more. Where it is known when a
// claim may be taken, because W is running, that is done shortly before, and silence counts. It is a courtesy to machines outside the cluster, and nothing
// that the safety rule rests on; whoever answers is asked again when the claim is won, for until then it may be the last holder.

// ahead is what came of asking for a VIP before its claim may be taken.
type ahead struct {
	mod   int64 // revision of the claim then
	busy  bool
	at    time.Duration // when it was answered
	quiet bool          // nobody uses it
}

const (
	askAhead   = time.Second     // how long before: of 1,000 addresses three times takes 0.7 s
	aheadCount = 2 * time.Second // how long silence counts
)

// askAhead asks for the VIP, once, if it may be taken soon.
func (d *decision) askAhead(vip string, c claim, l *local, free time.Duration) {
	if free > d.now.Boot && l.ahead.mod != c.mod && d.at(free-askAhead) {
		d.aheads = append(d.aheads, Item{VIP: vip, Addresses: l.place.Addresses, Fresh: true})
	}
}

func (a *ahead) answered(f AddressesProbed, now time.Duration) {
	a.busy, a.at, a.quiet = false, now, f.Rival == "" && f.Err == nil
}

// silent tells whether nobody has answered for the VIP, a moment ago.
func (a ahead) silent(c claim, now time.Duration) bool {
	return a.mod == c.mod && !a.busy && a.quiet && now-a.at < aheadCount
}
