package plan

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// Everything read from etcd is untrusted: whoever may write there, or a program gone wrong, may have put anything under any key. It must not crash a daemon,
// nor make it hang, nor make it raise an address that is not in its own configuration, nor one that its claim does not give it.

// FuzzDecoders: every decoder of a value, on its own.
func FuzzDecoders(f *testing.F) {
	for _, seed := range hostileValues {
		f.Add([]byte(seed), int64(1))
	}
	f.Add([]byte(`{"v":1,"neighbors":["192.0.2.1 02:00:00:00:00:01","fe80::1%x 02:00:00:00:00:01"]}`), int64(-1))
	f.Fuzz(func(t *testing.T, value []byte, version int64) {
		again := func(record any, err error, decode func([]byte) error) {
			if err == nil {
				if err := decode(Encode(record)); err != nil {
					t.Errorf("%q decodes to %+v, and that written does not: %v", value, record, err)
				}
			}
		}
		m, err := decodeMember(value)
		again(m, err, func(b []byte) error { _, err := decodeMember(b); return err })
		s, err := decodeState(value)
		again(s, err, func(b []byte) error { _, err := decodeState(b); return err })
		if err == nil && (s.Weight < 1 || s.Weight > 1000 || waitOf(s.WaitMS) < 0 || waitOf(s.WaitMS) > maxWait) {
			t.Errorf("%q has weight %d and wait %v", value, s.Weight, waitOf(s.WaitMS))
		}
		c, err := decodeClaim("web", value, version)
		again(c, err, func(b []byte) error { _, err := decodeClaim("web", b, version); return err })
		if err == nil && (c.VIP != "web" || c.Writes != version || c.wait() < 0 || c.wait() > maxWait || c.Node != "" && c.MemberRev <= 0) {
			t.Errorf("%q is the claim %+v", value, c)
		}
		l, err := decodeLayout(value)
		again(l, err, func(b []byte) error { _, err := decodeLayout(b); return err })
		i, err := decodeIntent(value)
		again(i, err, func(b []byte) error { _, err := decodeIntent(b); return err })
		if list, err := decodeNeighbors(value); err == nil {
			for _, n := range list {
				if !n.single() {
					t.Errorf("%q names the neighbour %v", value, n)
				}
			}
		}
	})
}

// hostileValues are what is put under hostileKeys, and what fuzzing begins with. NAME, NUMBER and ADDRESS stand for
// something of the lists below, the other words in capitals for what the running world knows.
var hostileValues = []string{
	``, `null`, `{}`, `[]`, `{"v":2}`, `{"v":3}`, `{"v":-1}`, `{"v":1}`, `{"v":1e400}`, "\xff\xfe", `{"v":1,"node":{}}`, strings.Repeat(`[`, 20_000),
	`{"v":1,"vip":"NAME","node":"NAME","reg":"NAME","member_rev":NUMBER,"wait_ms":NUMBER,"addresses":["ADDRESS"],"since":"2020-01-01T00:00:00Z","why":"NAME","try":"x","writes":NUMBER}`,
	`{"v":1,"vip":"VIP","node":"a","reg":"REG","member_rev":CREATE,"wait_ms":9000,"addresses":["ADDRESS"],"try":"x","writes":NEXT}`,
	`{"v":1,"vip":"VIP","node":"a","reg":"REG","member_rev":CREATE,"wait_ms":NUMBER,"to":"NAME","accept":NUMBER,"addresses":["ADDRESS"],"try":"x","writes":NEXT}`,
	`{"v":1,"vip":"VIP","node":"b","reg":"B","member_rev":NUMBER,"wait_ms":NUMBER,"to":"a","addresses":["ADDRESS"],"moved":NUMBER,"stay":true,"try":"x","writes":NEXT}`,
	`{"v":1,"vip":"VIP","node":"","empty":true,"wait_ms":NUMBER,"addresses":["ADDRESS"],"try":"x","writes":NEXT}`,
	`{"v":1,"vip":"VIP","node":"","contested":true,"wait_ms":NUMBER,"addresses":["ADDRESS"],"try":"x","writes":NEXT}`,
	`{"v":1,"reg":"NAME","machine":"NAME","boot":"NAME"}`, `{"v":1,"reg":"REG","machine":"m-a","boot":"b-a"}`,
	`{"v":1,"state":"NAME","why":"NAME","weight":NUMBER,"digest":"NAME","planner":NUMBER,"wait_ms":NUMBER,"cannot":["NAME","NAME"]}`,
	`{"v":1,"state":"ready","weight":NUMBER,"digest":"DIGEST","planner":2,"wait_ms":NUMBER,"only":["NAME"],"because":["NAME"]}`,
	`{"v":1,"state":"ready","weight":NUMBER,"digest":"DIGEST","planner":1,"wait_ms":NUMBER}`,
	`{"v":1,"vips":[{"name":"NAME","addresses":["ADDRESS"],"prefer":["NAME"],"spread":"NAME"},{"name":"NAME","addresses":["ADDRESS"]}],"failback":true,"moves_per_round":NUMBER}`,
	`{"v":1,"node":"NAME","member_rev":NUMBER,"by":"NAME","at":"9999-12-31T23:59:59Z"}`,
	`{"v":1,"member_rev":NUMBER,"vip":"NAME","claim_mod":NUMBER,"by":"NAME","by_rev":NUMBER}`,
	`{"v":1,"member_rev":NUMBER,"kept":{"grace_ms":NUMBER,"silence_ms":NUMBER},"by":"NAME","at":"2020-01-01T00:00:00Z","count":NUMBER}`,
	`{"v":1,"number":NUMBER,"slots":["NAME","NAME"],"missed":["NAME"],"by":"NAME"}`,
	`{"v":1,"neighbors":["10.6.6.6 02:00:00:00:00:01"]}`,
}

var (
	hostileKinds     = []string{"claims", "members", "states", "configs", "drains", "pins", "moves", "neighbors", "challenges", "evictions", "balance", "frozen", "round", "nonsense"}
	hostileNames     = []string{"web", "dns", "evil", "a", "b", "ready", "joining", "", "../web", "web/x", "a\x1b[2J", strings.Repeat("n", 300), "DIGEST"}
	hostileNumbers   = []string{"0", "1", "-1", "4610", "9000", "9223372036854775807", "-9223372036854775808", "1.5", "CREATE", "NEXT"}
	hostileAddresses = []string{"192.0.2.100/32", "192.0.2.101/32", "10.6.6.6/32", "0.0.0.0/0", "192.0.2.100/24", "::ffff:192.0.2.100/128", "", "no address"}
)

// program is fuzzing's choice of what happens.
type program []byte

func (p *program) next() int {
	if len(*p) == 0 {
		return 0
	}
	b := (*p)[0]
	*p = (*p)[1:]
	return int(b)
}

func (p *program) of(list []string) string { return list[p.next()%len(list)] }

// FuzzView: one node with two VIPs at an etcd that is honest about revisions, as etcd is, and in which somebody writes what he likes.
func FuzzView(f *testing.F) {
	f.Add([]byte{})
	for kind := range hostileKinds {
		for value := range hostileValues {
			f.Add([]byte{3, 200, 0, byte(kind), byte(value % 13), byte(value), 0, 0, 0, 3, 100, 0, byte(kind), 1, byte(value), 1, 8, 2, 3, 3, 40, 5, byte(kind), 1, 3, 255})
		}
	}
	f.Add([]byte{3, 200, 4, 0, 0, 0, 1, 3, 100, 6, 3, 50, 2, 0, 0, 3, 200, 7, 3, 9})
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 400 {
			return // what takes longer than this is found in shorter ones
		}
		newHostile(t).play(data)
	})
}

var programs = flag.Int("plan.hostile", 150, "how many random programs TestHostileView runs")

// TestHostileView: FuzzView with programs at random, for fuzzing is slow to learn what a program is made of.
func TestHostileView(t *testing.T) {
	for seed := range *programs {
		random := rand.New(rand.NewPCG(uint64(seed), 1))
		data := make([]byte, 40+random.IntN(200))
		for i := range data {
			data[i] = byte(random.Uint32())
		}
		ok := t.Run(fmt.Sprint(seed), func(t *testing.T) {
			newHostile(t).play(data)
		})
		if !ok {
			return
		}
	}
}

// TestHostileConfiguration: as many VIPs as a record can name, in the configuration of as many members as somebody cares to invent, do not hold the loop up.
// It took 20 s when each VIP was looked for in the configuration of each member.
func TestHostileConfiguration(t *testing.T) {
	w := newHostile(t)
	l := Layout{V: Format, Moves: -1}
	for i := range maxLayout {
		l.VIPs = append(l.VIPs, LayoutVIP{Name: fmt.Sprintf("v%d", i), Addresses: []string{"10.6.6.6/32"}})
	}
	digest := digestOf(Encode(l))
	w.put("configs/"+digest, string(Encode(l)))
	for i := range 200 {
		w.put(fmt.Sprintf("members/h%d", i), `{"v":1,"reg":"x"}`)
		w.put(fmt.Sprintf("states/h%d", i), string(Encode(State{V: Format, State: StateReady, Weight: 1, Digest: digest, Planner: Planner})))
	}
	began := time.Now()
	w.act()
	w.look()
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
	l.VIPs = append(l.VIPs, LayoutVIP{Name: "one-more"})
	if _, err := decodeLayout(Encode(l)); !errors.Is(err, errForeign) {
		t.Errorf("one VIP more than a configuration may have is %v", err)
	}
}
