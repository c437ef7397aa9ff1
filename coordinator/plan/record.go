package plan

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"viplease/sentinel"
)

// Planner is the version of the placement rules. Live nodes move VIPs between them only while all run the same.
const Planner = 2

const (
	maxValue  = 1 << 20       // a larger value is not ours
	maxLayout = 4096          // VIPs: no configuration has more
	maxWait   = 2 * time.Hour // what wait_ms can ask for at most: more than the longest hold needs, and no value blocks a takeover for ever
)

// Member is the value of members/<node>, written once per registration.
type Member struct {
	V       int    `json:"v"`
	Reg     string `json:"reg"`     // random id of this registration
	Machine string `json:"machine"` // /etc/machine-id
	Boot    string `json:"boot"`    // /proc/sys/kernel/random/boot_id
	Address string `json:"address,omitempty"`
	Version string `json:"version,omitempty"`
}

// State is the value of states/<node>: what the node says of itself. It hangs on the node's lease.
type State struct {
	V       int       `json:"v"`
	State   string    `json:"state"` // StateJoining, StateReady or StateLeaving
	Why     string    `json:"why,omitempty"`
	Since   time.Time `json:"since,omitzero"`
	Weight  int       `json:"weight"`
	Digest  string    `json:"digest"` // of the placement configuration: configs/<digest>
	Planner int       `json:"planner"`
	WaitMS  int64     `json:"wait_ms"`           // its takeover wait W
	Fast    bool      `json:"fast,omitempty"`    // it takes part in fast takeover
	Cannot  []string  `json:"cannot,omitempty"`  // VIPs of that configuration which it cannot hold now
	Only    []string  `json:"only,omitzero"`     // those that it can, where they are fewer: then all others count as in Cannot
	Because []string  `json:"because,omitempty"` // why not, for each that it cannot hold, by name; "", or none: as the one before

	Checks   []CheckState `json:"checks,omitempty"`   // health checks that do not pass there
	Recovers []string     `json:"recovers,omitempty"` // VIPs that it could not hold a while ago, and can again
}

// What a node says of itself in State.State.
const (
	StateJoining = "joining"
	StateReady   = "ready"
	StateLeaving = "leaving"
)

// Claim is the value of claims/<vip>: the record of who holds it. It outlives its holder.
type Claim struct {
	V         int       `json:"v"`
	VIP       string    `json:"vip"`                  // the key's own name: a value copied from another key gives itself away
	Node      string    `json:"node"`                 // "": released
	Empty     bool      `json:"empty,omitempty"`      // nobody is known to hold it, which is not the same: free when W has passed since it was seen
	Reg       string    `json:"reg,omitempty"`        // the holder's registration: its random id
	MemberRev int64     `json:"member_rev,omitempty"` // and the create revision of its member key
	Contested bool      `json:"contested,omitempty"`  // released because a machine outside the cluster answers for it
	WaitMS    int64     `json:"wait_ms"`              // the holder's takeover wait W
	Fast      Terms     `json:"fast,omitzero"`        // the holder plays by the rules of fast takeover, and asks for this; zero: W applies
	To        string    `json:"to,omitempty"`         // a move under way: the target
	Accept    int64     `json:"accept,omitempty"`     // the target's member_rev, once it is ready to raise the VIP
	Moved     int64     `json:"moved,omitempty"`      // revision of the last moves/<vip> that was carried out, or tried
	Stay      bool      `json:"stay,omitempty"`       // that move brought it here: balance and preferences leave it
	Addresses []string  `json:"addresses"`
	Since     time.Time `json:"since,omitzero"` // when this holder got it
	Why       string    `json:"why,omitempty"`
	Try       string    `json:"try"`    // the attempt that wrote it, unique
	Writes    int64     `json:"writes"` // how often the key has been written: etcd's own version of it, else something else wrote it
}

// Terms are what the holder of a claim asks of whoever would evict it, because it keeps its own part within it; see package sentinel.
type Terms struct {
	GraceMS   int64 `json:"grace_ms"`
	SilenceMS int64 `json:"silence_ms"`
}

func termsOf(t sentinel.Terms) Terms {
	up := func(d time.Duration) int64 { return int64((d + time.Millisecond - 1) / time.Millisecond) }
	return Terms{up(t.Grace), up(t.Silence)}
}

func (t Terms) sentinel() sentinel.Terms {
	return sentinel.Terms{Grace: waitOf(t.GraceMS), Silence: waitOf(t.SilenceMS)}
}

// covers tells whether who kept to these terms kept to the others as well.
func (t Terms) covers(o Terms) bool { return t.GraceMS >= o.GraceMS && t.SilenceMS >= o.SilenceMS }

// Challenge is the value of challenges/<node>: a guard says that the node does not answer on the LAN. It hangs on the guard's lease. The consent of the
// other guard, challenges/<node>/<guard>, has the same value.
type Challenge struct {
	V         int    `json:"v"`
	MemberRev int64  `json:"member_rev"` // of the registration that is challenged
	VIP       string `json:"vip"`        // that does not answer
	ClaimMod  int64  `json:"claim_mod"`  // revision of its claim
	By        string `json:"by"`         // the guard
	ByRev     int64  `json:"by_rev"`     // and its registration
}

// Eviction is the value of evictions/<node>: the last registration of the node that was ended by its guards.
type Eviction struct {
	V         int       `json:"v"`
	MemberRev int64     `json:"member_rev"`
	Kept      Terms     `json:"kept"` // what the guard kept to: evidence only against claims whose terms it covers
	By        string    `json:"by"`
	At        time.Time `json:"at,omitzero"`
	Count     int       `json:"count"` // evictions of this node, each within ten minutes of the one before
}

// Layout is the value of configs/<digest>: the VIPs that a configuration yields, written once.
type Layout struct {
	V        int         `json:"v"`
	VIPs     []LayoutVIP `json:"vips"`
	Failback bool        `json:"failback"`
	Moves    int         `json:"moves_per_round"`       // -1: all
	Interval int64       `json:"interval_ms,omitempty"` // between two rounds, if there are any
}

// LayoutVIP is one VIP of a Layout.
type LayoutVIP struct {
	Name      string   `json:"name"`
	Addresses []string `json:"addresses"`
	Prefer    []string `json:"prefer,omitempty"`
	Spread    string   `json:"spread,omitempty"`
}

// Intent is the value of drains/<node>, pins/<vip>, moves/<vip>, balance and frozen: what an operator asked for. Balance asks for one round at once, the next
// after its write; it is not deleted.
type Intent struct {
	V         int       `json:"v"`
	Node      string    `json:"node,omitempty"`       // pins and moves: where to
	MemberRev int64     `json:"member_rev,omitempty"` // moves: and the registration of it that this is asked of
	By        string    `json:"by,omitempty"`
	At        time.Time `json:"at,omitzero"`
}

var name = regexp.MustCompile(`^[A-Za-z0-9._:-]{1,253}$`)

func decodeMember(value []byte) (Member, error) {
	m, err := decode(value, func(m *Member) int { return m.V })
	if err == nil && m.Reg == "" {
		err = fmt.Errorf("%w: no registration id", errForeign)
	}
	return m, err
}

func decodeState(value []byte) (State, error) {
	s, err := decodeQuickly(value, (*State).scan, func(s *State) int { return s.V })
	s.Weight = min(max(s.Weight, 1), 1000)
	return s, err
}

func decodeChallenge(value []byte) (Challenge, error) {
	return decode(value, func(c *Challenge) int { return c.V })
}

func decodeEviction(value []byte) (Eviction, error) {
	return decode(value, func(e *Eviction) int { return e.V })
}

func decodeIntent(value []byte) (Intent, error) {
	return decode(value, func(i *Intent) int { return i.V })
}

func decodeLayout(value []byte) (Layout, error) {
	l, err := decode(value, func(l *Layout) int { return l.V })
	if err == nil && len(l.VIPs) > maxLayout {
		err = fmt.Errorf("%w: %d VIPs", errForeign, len(l.VIPs))
	}
	for _, vip := range l.VIPs {
		if err == nil && !name.MatchString(vip.Name) {
			err = fmt.Errorf("%w: VIP name %q", errForeign, vip.Name)
		}
	}
	return l, err
}

// decodeClaim also holds the claim against its key's name and etcd's version of it: the protocol knows the version that each of its writes will get, so a
// value that was copied or edited by hand gives itself away.
func decodeClaim(vip string, value []byte, version int64) (Claim, error) {
	c, err := decodeQuickly(value, (*Claim).scan, func(c *Claim) int { return c.V })
	switch {
	case err != nil:
		return c, err
	case c.VIP != vip:
		return c, fmt.Errorf("%w: it is the claim of %q", errForeign, c.VIP)
	case c.Writes != version:
		return c, fmt.Errorf("%w: it says write %d, etcd counts %d", errForeign, c.Writes, version)
	case c.Node != "" && (!name.MatchString(c.Node) || c.Reg == "" || c.MemberRev <= 0):
		return c, fmt.Errorf("%w: no registration", errForeign)
	case c.Node == "" && (c.Reg != "" || c.MemberRev != 0) || c.Node != "" && c.Empty:
		return c, fmt.Errorf("%w: a registration without a node, or a node in an empty claim", errForeign)
	case c.Node == "" && !c.Empty && version == 1:
		return c, fmt.Errorf("%w: released, and nobody had held it", errForeign) // somebody deleted the key and put an old value back
	}
	return c, nil
}

// wait is how long a taker lets pass at the least, by what the claim says.
func (c Claim) wait() time.Duration { return waitOf(c.WaitMS) }

func waitOf(ms int64) time.Duration {
	return time.Duration(min(max(ms, 0), maxWait.Milliseconds())) * time.Millisecond
}

// Encode returns the value as one line of JSON, as it stands in etcd.
func Encode(record any) []byte {
	b, err := json.Marshal(record)
	if err != nil {
		panic(fmt.Sprintf("plan: encode %T: %v", record, err)) // our own types only
	}
	return b
}

// layout is what cfg says about placement, in canonical order, and its digest.
func layout(cfg Config) (Layout, string) {
	l := Layout{V: Format, Failback: cfg.Failback, Moves: cfg.MovesPerRound}
	if cfg.MovesPerRound > 0 {
		l.Interval = cfg.Interval.Milliseconds()
	}
	for _, vip := range cfg.VIPs {
		l.VIPs = append(l.VIPs, LayoutVIP{Name: vip.Name, Addresses: texts(vip.Prefixes), Prefer: vip.Prefer, Spread: vip.Spread})
	}
	slices.SortFunc(l.VIPs, func(a, b LayoutVIP) int { return strings.Compare(a.Name, b.Name) })
	return l, digestOf(Encode(l))
}

// digestOf names a layout by its text, fields that this version does not know included. The format, which comes first, is left out: two versions of viplease
// give one configuration one name.
func digestOf(layout []byte) string {
	_, says, _ := bytes.Cut(layout, []byte(","))
	sum := sha256.Sum256(says)
	return hex.EncodeToString(sum[:8])
}

func texts(prefixes []netip.Prefix) []string {
	out := make([]string, len(prefixes))
	for i, p := range prefixes {
		out[i] = p.String()
	}
	return out
}
