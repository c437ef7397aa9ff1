package plan

import (
	"errors"
	"strings"
	"testing"
)

func TestFormats(t *testing.T) {
	for _, x := range []struct {
		value, reader int
		want          error
	}{
		{1, 1, nil}, {2, 1, nil}, {3, 1, errNewer}, {99, 1, errNewer}, {0, 1, errForeign}, {-1, 1, errForeign},
		{1, 2, nil}, {2, 2, nil}, {3, 2, nil}, {4, 2, errNewer}, {0, 2, errForeign},
		{1, 3, nil}, {2, 3, nil}, {0, 3, errForeign}, {4, 3, nil}, {5, 3, errNewer},
	} {
		if err := understood(x.value, x.reader); !errors.Is(err, x.want) {
			t.Errorf("a reader of format %d understands format %d: %v, want %v", x.reader, x.value, err, x.want)
		}
	}
}

// of makes an entry what a viplease of another format writes: with that number, and a field that this version does not know.
func of(format string, e Entry) Entry {
	text := strings.Replace(string(e.Value), `{"v":1,`, `{"v":`+format+`,`, 1)
	e.Value = []byte(strings.TrimSuffix(text, "}") + `,"new":{"a":[1]}}`)
	return e
}

// TestNextFormat: a member of the next format holds a VIP, is given one and gives one, and what it leaves is taken over.
func TestNextFormat(t *testing.T) {
	d := start(t, testConfig("a", "web"))
	b := d.member("b")
	member, state := of("2", b[0]), of("2", b[1])
	d.register(member, state, of("2", d.put("claims/web", claimOf("b", member.Create, 1), 1)))
	d.wait(5100*ms, true)
	if s := d.v.vipStatus("web", d.v.placement(), d.now()); s.State != "held" || s.Node != "b" {
		t.Fatalf("it sees %+v", s)
	}
	if m := d.v.memberStatus("b"); m.State != StateReady || m.Why != "" || !d.v.placement().agreed {
		t.Errorf("it sees %+v; they agree: %v", m, d.v.placement().agreed)
	}
	offer := claimOf("b", member.Create, 2)
	offer.To = "a"
	d.tell(d.batch(of("2", d.put("drains/b", Intent{V: 1}, 1)), of("2", d.put("claims/web", offer, 2))))
	d.want("commit accept web if 16")
}

// TestTakeoverFromTheNextFormat: what a node of the next format left is taken over as soon as what one of this format left.
func TestTakeoverFromTheNextFormat(t *testing.T) {
	d := start(t, testConfig("a", "web"))
	b := d.member("b")
	d.register(of("2", b[0]), of("2", b[1]), of("2", d.put("claims/web", claimOf("b", b[0].Create, 1), 1)))
	d.wait(5100*ms, true)
	d.want("")
	d.rev++
	d.tell(BatchSeen{Revision: d.rev, Deleted: []Deleted{{"members/b", d.rev}}})
	d.wantAfterW("commit take web if 13, b/11 gone")
}

// TestConfigurationOfTheNextFormat: it has the same name, if it says the same, and is understood as far as this version can.
func TestConfigurationOfTheNextFormat(t *testing.T) {
	d := start(t, testConfig("a", "web"))
	b := d.member("b")
	cfg := testConfig("b", "web", "dns")
	l, _ := layout(cfg)
	e := of("2", d.put("configs/", l, 1))
	e.Key += digestOf(e.Value)
	b[1] = d.put("states/b", State{V: 2, State: StateReady, Weight: 1, Digest: digestOf(e.Value), Planner: Planner}, 1)
	d.register(b[0], b[1], e)
	if got := d.v.VIPNames(); strings.Join(got, " ") != "dns web" {
		t.Errorf("it knows of %v", got)
	}
	text := string(Encode(l))
	if next := strings.Replace(text, `"v":1`, `"v":2`, 1); next == text || digestOf([]byte(next)) != digestOf([]byte(text)) {
		t.Errorf("the format is in the name of %s", text)
	}
}

// TestFormatTooFar: a node does not register beside a member that it does not understand, says why, and does when that has gone.
func TestFormatTooFar(t *testing.T) {
	d := start(t, testConfig("a", "web"))
	member := of("3", d.member("b")[0])
	d.tell(SnapshotRead{Cluster: 1, Revision: d.rev, Entries: []Entry{member, of("3", d.put("claims/web", claimOf("b", member.Create, 1), 1))}})
	d.want("")
	if s := d.v.Standing(); !strings.Contains(s.Trouble, "b runs a newer viplease") {
		t.Errorf("status says %q", s.Trouble)
	}
	if s := d.v.vipStatus("web", d.v.placement(), d.now()); !strings.Contains(s.Why, "newer viplease") {
		t.Errorf("status says %+v", s)
	}
	d.rev++
	d.tell(BatchSeen{Revision: d.rev, Deleted: []Deleted{{"members/b", d.rev}}})
	d.want("register a-1 joining")
}

// TestUpgradeIsSaid: a process that adopts the registration of another version says in the member key what runs now, once.
func TestUpgradeIsSaid(t *testing.T) {
	cfg := testConfig("a", "web")
	cfg.Version = "1.0.1"
	d := reborn(t, cfg, placesOf(cfg).Places, nil, Entry{Key: "claims/web", Value: Encode(claimOf("b", 5, 1)), Create: 12, Mod: 12, Version: 1})
	d.answer()
	puts := d.pending().Puts
	if m, err := decodeMember(puts[0].Value); err != nil || puts[0].Key != "members/a" || puts[0].Lease != 77 || m.Reg != "a-1" || m.Version != "1.0.1" || m.V != Format {
		t.Errorf("it writes %s = %s on lease %d, %v", puts[0].Key, puts[0].Value, puts[0].Lease, err)
	}
}
