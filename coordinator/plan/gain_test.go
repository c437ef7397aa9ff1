package plan

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"
)

// happened are the changes since the last call, without their reasons.
func (d *dialogue) happened() (out []string) {
	for _, c := range d.changes {
		out = append(out, fmt.Sprintf("%s %s %s>%s", c.Kind, c.VIP, c.Old, c.New))
	}
	d.changes = nil
	return out
}

func (d *dialogue) wantChanges(want ...string) {
	d.t.Helper()
	if got := d.changes; !slices.Equal(d.happened(), want) {
		d.t.Fatalf("what happened is %+v, not %v", got, want)
	}
}

func TestChangesAreToldOnceAndOnlyWhenTheyAreReal(t *testing.T) {
	d := holding(t)
	d.wantChanges("acquired web >a")
	d.play(2 * time.Second) // refreshes
	for range 2 {
		d.tell(AddressesObserved{Present: map[Address]bool{}}) // somebody deletes it
		d.play(100 * ms)
	}
	if !d.v.local["web"].up {
		t.Fatal("it is not back")
	}
	d.wantChanges()

	next := reborn(t, d.v.cfg, placesOf(d.v.cfg).Places, map[Address]bool{d.v.local["web"].set[0]: true}) // the next process
	next.v.Apply(Remembered{Gained: d.v.Remember().Gained}, next.now())
	next.tell()
	next.wantChanges()
	next = reborn(t, d.v.cfg, placesOf(d.v.cfg).Places, map[Address]bool{})
	next.v.Apply(Remembered{Gained: d.v.Remember().Gained}, next.now())
	next.tell()
	next.wantChanges("released web a>") // it went with the process before
}

func TestChangesOfAMove(t *testing.T) {
	d, b := checked(t, false)
	d.wantChanges("acquired web >a")
	d.tell(undrained(d))
	d.tell(HealthJudged{Check: "x", Why: "503"})
	d.play(200 * ms)
	c := d.v.etcd.claims["web"]
	accepted := c.Claim
	accepted.Accept, accepted.Writes = b[0].Create, c.version+1
	d.tell(d.batch(d.put("claims/web", accepted, c.version+1)))
	d.wantChanges()
	d.play(100 * ms)
	if len(d.changes) == 1 && d.changes[0].Why != "unfit" || len(d.changes[0].Addresses) != 1 {
		t.Errorf("%+v", d.changes)
	}
	d.wantChanges("released web a>b")

	d.tell(HealthJudged{Check: "x", Passes: true})
	d.play(6 * time.Second)
	c = d.v.etcd.claims["web"]
	back := claimOf("a", d.v.self.reg.MemberRev, c.version+1)
	back.Reg, back.Why = d.v.self.reg.ID, "moved from b: drain"
	d.tell(d.batch(d.put("claims/web", back, c.version+1)))
	d.play(400 * ms)
	if len(d.changes) != 1 || d.changes[0].Why != "moved from b: drain" {
		t.Errorf("%+v", d.changes)
	}
	d.wantChanges("acquired web b>a")
}

func TestChangesWithoutEtcd(t *testing.T) {
	d := holding(t)
	d.wantChanges("acquired web >a")
	d.wait(3500*ms, false)
	for _, a := range d.acts {
		if del, ok := a.(DelAddresses); ok {
			d.tell(AddressesDeleted{VIP: del.Items[0].VIP})
		}
	}
	d.wantChanges("released web a>")
	d.acts = []Action{Check{Since: d.v.etcd.rev, Keys: 1}}
	d.play(500 * ms)
	d.wantChanges("acquired web >a")
}

func TestFaultIsToldOncePerEpisode(t *testing.T) {
	d := start(t, testConfig("a", "web"))
	d.register()
	d.wait(5100*ms, true)
	d.commit()
	for range 200 {
		d.ms += 100
		d.tell()
		for i, a := range d.acts {
			if r, ok := a.(RaiseAddresses); ok {
				d.acts = slices.Delete(d.acts, i, i+1)
				d.tell(AddressesRaised{VIP: "web", T0: r.T0, Err: errors.New("no room")})
				break
			}
		}
		for slices.ContainsFunc(d.acts, func(a Action) bool { _, ok := a.(Commit); return ok }) {
			d.commit()
		}
		d.answer()
	}
	if n := d.v.local["web"].fails; n < 2 {
		t.Fatalf("it failed %d times", n)
	}
	d.wantChanges("fault web >")
}
