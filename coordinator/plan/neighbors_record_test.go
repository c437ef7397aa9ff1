package plan

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestRecordIsBounded(t *testing.T) {
	d := neighborly(t)
	var many []Neighbor
	for i := range 1500 {
		many = append(many, host(i+1))
	}
	d.tell(lanWith(many...))
	var w WriteNeighbors
	for _, a := range d.acts {
		if x, ok := a.(WriteNeighbors); ok {
			w = x
		}
	}
	if n := len(w.Neighbors.Neighbors); n != neighborsMost {
		t.Fatalf("%d in one record", n)
	}
	if n := len(Encode(w.Neighbors)); n > 23<<10 {
		t.Errorf("the record has %d bytes", n)
	}
	d.written(many[:neighborsMost]...)
	d.pass(arpCache)
	d.tell(lanWith(many...))
	if got := d.aboutNeighbors(); got != "read neighbours; tell 1498 neighbours" { // not this node, and not the VIP
		t.Errorf("what does not fit is no news: %s", got)
	}
}

func TestRecordsFromEtcdAreNotTrusted(t *testing.T) {
	good := host(1).String()
	for _, value := range []string{
		``, `{`, `[]`, `{"v":3,"neighbors":[]}`, `{"v":0,"neighbors":["` + good + `"]}`,
		`{"v":1,"neighbors":["192.0.2.1"]}`,
		`{"v":1,"neighbors":["192.0.2.1 02:00:00:00:00"]}`,
		`{"v":1,"neighbors":["192.0.2.1 02:00:00:00:00:01:02"]}`,
		`{"v":1,"neighbors":["192.0.2.1 020000000001"]}`,
		`{"v":1,"neighbors":["192.0.2.1  02:00:00:00:00:01"]}`,
		`{"v":1,"neighbors":["192.0.2.1 02:00:00:00:00:0G"]}`,
		`{"v":1,"neighbors":["192.0.2.1 02:00:00:00:AB:01"]}`,
		`{"v":1,"neighbors":["192.0.2.1 ff:ff:ff:ff:ff:ff"]}`,
		`{"v":1,"neighbors":["224.0.0.1 02:00:00:00:00:01"]}`,
		`{"v":1,"neighbors":["127.0.0.1 02:00:00:00:00:01"]}`,
		`{"v":1,"neighbors":["::ffff:192.0.2.1 02:00:00:00:00:01"]}`,
		`{"v":1,"neighbors":["2001:DB8::1 02:00:00:00:00:01"]}`,
		`{"v":1,"neighbors":["fd00::1%net1 02:00:00:00:00:01"]}`,
		`{"v":1,"neighbors":["` + good + `","x"]}`,
		`{"v":1,"neighbors":["` + strings.Repeat(good+`","`, neighborsMost) + good + `"]}`,
	} {
		if list, err := decodeNeighbors([]byte(value)); err == nil || list != nil {
			t.Errorf("%.60s is taken as %v", value, list)
		}
	}
	list, err := decodeNeighbors([]byte(`{"v":1,"new":1,"neighbors":["` + good + `","2001:db8::1 02:00:00:00:00:02"]}`))
	if err != nil || len(list) != 2 || list[0] != host(1) {
		t.Errorf("%v, %v", list, err)
	}
}

func FuzzDecodeNeighbors(f *testing.F) {
	f.Add([]byte(`{"v":1,"neighbors":["192.0.2.1 02:00:00:00:00:01"]}`))
	f.Fuzz(func(t *testing.T, value []byte) {
		list, err := decodeNeighbors(value)
		for _, n := range list {
			if err != nil || !n.single() || len(list) > neighborsMost {
				t.Errorf("%q is taken as %v", value, list)
			}
		}
	})
}

// A record that was lost with its lease is written again with the next registration, and one of an earlier process is known as its own.
func TestRecordOfAnEarlierLife(t *testing.T) {
	d := neighborly(t)
	d.tell(lanWith(host(1)))
	d.written(host(1))
	d.tell(RenewFailed{Lease: 77, Gone: true})
	d.rev++
	d.tell(BatchSeen{Revision: d.rev, Deleted: []Deleted{{"neighbors/a", d.rev}, {"members/a", d.rev}, {"states/a", d.rev}}})
	d.pass(time.Second)
	d.rev++
	d.tell(Registered{Registration: Registration{d.v.self.pending, d.rev, 78, 3 * time.Second}, Highest: d.rev - 1, Revision: d.rev, State: State{V: 1, State: StateJoining, Digest: d.v.digest}})
	if got := d.aboutNeighbors(); strings.Contains(got, "write") {
		t.Fatalf("all who lost their leases would write at the same time: %s", got)
	}
	d.pass(arpCache)
	if got := d.aboutNeighbors(); !strings.HasSuffix(got, "write 192.0.2.1 02:00:00:00:00:01") {
		t.Errorf("it wants %s", got)
	}

	d = neighborly(t)
	d.tell(d.batch(said("a", d, host(1))))
	d.pass(20 * time.Minute)
	d.tell(lanWith(), Told{})
	if got := d.aboutNeighbors(); strings.Contains(got, "write") {
		t.Errorf("after a restart it drops what its predecessor saw: %s", got)
	}
}

func TestRecordThatCannotBeWritten(t *testing.T) {
	d := neighborly(t)
	d.tell(lanWith(host(1)))
	d.acts = nil
	d.tell(NeighborsWritten{MemberRev: d.v.self.reg.MemberRev, Err: fmt.Errorf("no leader")})
	d.wantNeighbors("")
	d.pass(recordRetry)
	if got := d.aboutNeighbors(); got != "write 192.0.2.1 02:00:00:00:00:01" {
		t.Errorf("it wants %q", got)
	}
}
