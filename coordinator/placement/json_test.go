package placement

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func TestFromJSON(t *testing.T) {
	for _, c := range []struct{ name, state, want string }{
		{"empty", `{}`, `{"assign":{},"moves":[],"unplaced":[]}`},
		{"all fields",
			`{"members":[{"node":"n1","ready":true,"weight":2,"vips":["a","b"]},{"node":"n2","ready":true}],
			  "vips":[{"name":"a","holder":"n1","prefer":["n2"],"pin":"","spread":"10.0.0.0/24"},
			          {"name":"b","holder":"n1","spread":"10.0.0.0/24"},{"name":"c","pin":"n1"}],
			  "moves_per_round":1}`,
			`{"assign":{"a":"n2","b":"n1","c":"n2"},"moves":[{"vip":"c","from":"","to":"n2","why":"unheld","round":0},` +
				`{"vip":"a","from":"n1","to":"n2","why":"prefer","round":1}],"unplaced":[]}`},
		{"not ready unless it says so", `{"members":[{"node":"n1"}],"vips":[{"name":"a","holder":"n1"}]}`,
			`{"assign":{},"moves":[],"unplaced":["a"]}`},
		{"no vips are none", `{"members":[{"node":"n1","ready":true,"vips":[]}],"vips":[{"name":"a"}]}`,
			`{"assign":{},"moves":[],"unplaced":["a"]}`},
		{"null is left out", `{"members":[{"node":"n1","ready":true,"vips":null,"weight":null}],"vips":[{"name":"a","holder":null,"prefer":null}],"moves_per_round":null}`,
			`{"assign":{"a":"n1"},"moves":[{"vip":"a","from":"","to":"n1","why":"unheld","round":0}],"unplaced":[]}`},
		{"no moves", `{"members":[{"node":"n1","ready":true},{"node":"n2","ready":true}],
			"vips":[{"name":"a","holder":"n1"},{"name":"b","holder":"n1"}],"moves_per_round":0}`,
			`{"assign":{"a":"n1","b":"n1"},"moves":[],"unplaced":[]}`},
		{"all moves", `{"members":[{"node":"n1","ready":true},{"node":"n2","ready":true}],
			"vips":[{"name":"a","holder":"n1"},{"name":"b","holder":"n1"}],"moves_per_round":"all"}`,
			`{"assign":{"a":"n1","b":"n2"},"moves":[{"vip":"b","from":"n1","to":"n2","why":"balance","round":1}],"unplaced":[]}`},
		{"a stranger's VIP", `{"members":[{"node":"n1","ready":true,"vips":["a","gone"]}],"vips":[{"name":"a","holder":"n1"}]}`,
			`{"assign":{"a":"n1"},"moves":[],"unplaced":[]}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			in, err := FromJSON([]byte(c.state))
			if err != nil {
				t.Fatal(err)
			}
			got, err := json.Marshal(Place(in))
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != c.want {
				t.Errorf("\n got %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestFromJSONRefuses(t *testing.T) {
	long := strings.Repeat("x", 256)
	for _, c := range []struct{ state, want string }{
		{``, `read state: it is empty; write at least {"members": [], "vips": []}`},
		{`{`, `read state: unexpected EOF`},
		{`[]`, `read state: json: cannot unmarshal array`},
		{`{"members":[}`, `read state: offset 13: invalid character '}'`},
		{`{} {}`, `read state: offset 4: there is more after the object`},
		{`{} x`, `there is more after the object`},
		{`{"member":[]}`, `unknown field "member"`},
		{`{"members":[{"node":"n1","wieght":1}]}`, `unknown field "wieght"`},
		{`{"vips":[{"name":"a","tag":"x"}]}`, `unknown field "tag"`},
		{`{"vips":[{"name":"a","holder":1}]}`, `vips.holder`},
		{`{"vips":[{}]}`, `vips[0]: name "": write one or more of A-Z a-z 0-9 . _ : -`},
		{`{"vips":[{"name":"a b"}]}`, `vips[0]: name "a b": write`},
		{`{"vips":[{"name":"a\n"}]}`, `vips[0]: name "a\n": write`},
		{`{"vips":[{"name":"` + long + `"}]}`, `has more than 255 bytes`},
		{`{"vips":[{"name":"a"},{"name":"b"},{"name":"a"}]}`, `vips[2]: there is a VIP named a already`},
		{`{"vips":[{"name":"a","pin":"/"}]}`, `VIP a: node "/": write`},
		{`{"vips":[{"name":"a","prefer":["n1","n 2"]}]}`, `VIP a: node "n 2": write`},
		{`{"vips":[{"name":"a","spread":"` + long + `"}]}`, `VIP a: spread has more than 255 bytes`},
		{`{"members":[{"ready":true}]}`, `members[0]: node "": write`},
		{`{"members":[{"node":"n1"},{"node":"n1"}]}`, `members[1]: there is a member named n1 already`},
		{`{"members":[{"node":"n1","weight":0}]}`, `member n1: weight 0: write a number from 1 to 1000`},
		{`{"members":[{"node":"n1","weight":1001}]}`, `member n1: weight 1001: write`},
		{`{"members":[{"node":"n1","weight":1.5}]}`, `members.weight`},
		{`{"members":[{"node":"n1","vips":["?"]}]}`, `member n1: VIP "?": write`},
		{`{"moves_per_round":-1}`, `moves_per_round -1: write a number from 0 on, or "all"`},
		{`{"moves_per_round":"some"}`, `moves_per_round "some": write`},
		{`{"moves_per_round":1.5}`, `moves_per_round 1.5: write`},
		{`{"vips":[` + strings.Repeat(`{},`, maxVIPs) + `{}]}`, `16385 VIPs are too many, the limit is 16384`},
		{`{"members":[` + strings.Repeat(`{},`, maxMembers) + `{}]}`, `1025 members are too many, the limit is 1024`},
		{strings.Repeat(" ", maxBytes+1), `33554433 bytes are too many`},
	} {
		_, err := FromJSON([]byte(c.state))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.60s: got error %v, want %s", c.state, err, c.want)
		}
	}
}

func FuzzFromJSON(f *testing.F) {
	f.Add([]byte(`{"members":[{"node":"n1","ready":true,"weight":2,"vips":["a"]},{"node":"n2","ready":true}],` +
		`"vips":[{"name":"a","holder":"n1","prefer":["n2"],"pin":"n2","spread":"x"},{"name":"b","spread":"x"}],"moves_per_round":1}`))
	f.Add([]byte(`{"members":[{"node":"n1"}],"vips":[{"name":"a"}],"moves_per_round":"all"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		in, err := FromJSON(data)
		if err != nil {
			return
		}
		p := Place(in)
		if _, err := scoreOf(in, p.Node); err != nil {
			t.Fatal(err)
		}
		mustBeWhole(t, in, p)
		if _, err := json.Marshal(p); err != nil {
			t.Fatal(err)
		}
	})
}

func ExamplePlace() {
	in, err := FromJSON([]byte(`{
		"members": [{"node": "n1", "ready": true}, {"node": "n2", "ready": true}],
		"vips": [{"name": "web", "holder": "n1"}, {"name": "dns", "holder": "n1", "prefer": ["n2"]}]
	}`))
	if err != nil {
		panic(err)
	}
	for _, m := range Place(in).Moves {
		fmt.Printf("%s: %s to %s (%s), round %d\n", m.VIP, m.From, m.To, m.Why, m.Round)
	}
	// Output: dns: n1 to n2 (prefer), round 1
}
