package placement

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
)

// Bounds of what FromJSON reads.
const (
	maxBytes   = 32 << 20
	maxMembers = 1024
	maxVIPs    = 16384
	maxName    = 255
)

// goodName is what the names of nodes and VIPs look like.
var goodName = regexp.MustCompile(`^[A-Za-z0-9._:-]+$`)

type rawInput struct {
	Members       []rawMember     `json:"members"`
	VIPs          []rawVIP        `json:"vips"`
	MovesPerRound json.RawMessage `json:"moves_per_round"`
}

type rawMember struct {
	Node   string    `json:"node"`
	Ready  bool      `json:"ready"`
	Weight *int      `json:"weight"`
	VIPs   *[]string `json:"vips"`
}

type rawVIP struct {
	Name   string   `json:"name"`
	Holder string   `json:"holder"`
	Prefer []string `json:"prefer"`
	Pin    string   `json:"pin"`
	Spread string   `json:"spread"`
}

// FromJSON reads a state as `viplease plan --state` takes it:
//
//	{"members": [{"node": "n1", "ready": true, "weight": 1, "vips": ["a"]}],
//	 "vips": [{"name": "a", "holder": "n1", "prefer": ["n1"], "pin": "", "spread": "lan"}],
//	 "moves_per_round": "all"}
//
// A member without "vips" can hold all of them, with an empty list none; names
// there that no VIP has are ignored. Without "weight" it is 1, without "ready" it
// is false. "moves_per_round" is a number or "all", which is the default. The
// input has Failback set, which is the default of the configuration.
//
// Unknown fields, bad or duplicate names and anything after the object are
// errors that name the entry.
func FromJSON(data []byte) (Input, error) {
	in, err := readState(data)
	if err != nil {
		return Input{}, fmt.Errorf("read state: %w", err)
	}
	return in, nil
}

func readState(data []byte) (Input, error) {
	if len(data) > maxBytes {
		return Input{}, fmt.Errorf("%d bytes are too many, the limit is %d", len(data), maxBytes)
	}
	var raw rawInput
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&raw); err != nil {
		return Input{}, jsonError(err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return Input{}, fmt.Errorf("offset %d: there is more after the object", dec.InputOffset())
	}
	moves, err := readMoves(raw.MovesPerRound)
	if err != nil {
		return Input{}, err
	}
	in := Input{Failback: true, MovesPerRound: moves}
	index, err := in.readVIPs(raw.VIPs)
	if err != nil {
		return Input{}, err
	}
	if err := in.readMembers(raw.Members, index); err != nil {
		return Input{}, err
	}
	return in, nil
}

// jsonError says where in the text a decoding error is, as far as it is known.
func jsonError(err error) error {
	var syntax *json.SyntaxError
	switch {
	case errors.Is(err, io.EOF):
		return errors.New(`it is empty; write at least {"members": [], "vips": []}`)
	case errors.As(err, &syntax):
		return fmt.Errorf("offset %d: %w", syntax.Offset, err)
	}
	return err
}

func readMoves(raw json.RawMessage) (int, error) {
	switch s := string(raw); s {
	case "", "null", `"all"`:
		return All, nil
	default:
		var n int
		if err := json.Unmarshal(raw, &n); err != nil || n < 0 {
			return 0, fmt.Errorf(`moves_per_round %.40s: write a number from 0 on, or "all"`, s)
		}
		return n, nil
	}
}

// readVIPs returns the index of each VIP by its name.
func (in *Input) readVIPs(raw []rawVIP) (map[string]int, error) {
	if len(raw) > maxVIPs {
		return nil, fmt.Errorf("%d VIPs are too many, the limit is %d", len(raw), maxVIPs)
	}
	index := make(map[string]int, len(raw))
	for i, r := range raw {
		if err := checkName(r.Name); err != nil {
			return nil, fmt.Errorf("vips[%d]: name %w", i, err)
		}
		if _, ok := index[r.Name]; ok {
			return nil, fmt.Errorf("vips[%d]: there is a VIP named %s already", i, r.Name)
		}
		index[r.Name] = i
		for _, node := range append([]string{r.Holder, r.Pin}, r.Prefer...) {
			if err := checkName(node); node != "" && err != nil {
				return nil, fmt.Errorf("VIP %s: node %w", r.Name, err)
			}
		}
		if len(r.Spread) > maxName {
			return nil, fmt.Errorf("VIP %s: spread has more than %d bytes", r.Name, maxName)
		}
		in.VIPs = append(in.VIPs, VIP(r))
	}
	return index, nil
}

func (in *Input) readMembers(raw []rawMember, vips map[string]int) error {
	if len(raw) > maxMembers {
		return fmt.Errorf("%d members are too many, the limit is %d", len(raw), maxMembers)
	}
	seen := make(map[string]bool, len(raw))
	for i, r := range raw {
		if err := checkName(r.Node); err != nil {
			return fmt.Errorf("members[%d]: node %w", i, err)
		}
		if seen[r.Node] {
			return fmt.Errorf("members[%d]: there is a member named %s already", i, r.Node)
		}
		seen[r.Node] = true
		m := Member{Node: r.Node, Ready: r.Ready, Weight: 1}
		if r.Weight != nil {
			m.Weight = *r.Weight
		}
		if m.Weight < 1 || m.Weight > MaxWeight {
			return fmt.Errorf("member %s: weight %d: write a number from 1 to %d", r.Node, m.Weight, MaxWeight)
		}
		if r.VIPs != nil {
			for v := range in.VIPs {
				m.Cannot.Add(v)
			}
			for _, name := range *r.VIPs {
				if err := checkName(name); err != nil {
					return fmt.Errorf("member %s: VIP %w", r.Node, err)
				}
				if v, ok := vips[name]; ok {
					m.Cannot.Del(v)
				}
			}
		}
		in.Members = append(in.Members, m)
	}
	return nil
}

func checkName(s string) error {
	switch {
	case len(s) > maxName:
		return fmt.Errorf("%.20q... has more than %d bytes", s, maxName)
	case !goodName.MatchString(s):
		return fmt.Errorf("%q: write one or more of A-Z a-z 0-9 . _ : -", s)
	}
	return nil
}

// MarshalJSON writes the plan as `viplease plan --json` prints it:
//
//	{"assign": {"a": "n1"},
//	 "moves": [{"vip": "a", "from": "n2", "to": "n1", "why": "prefer", "round": 1}],
//	 "unplaced": ["b"]}
func (p Plan) MarshalJSON() ([]byte, error) {
	out := struct {
		Assign   map[string]string `json:"assign"`
		Moves    []Move            `json:"moves"`
		Unplaced []string          `json:"unplaced"`
	}{
		Assign:   make(map[string]string, len(p.Assign)),
		Moves:    append([]Move{}, p.Moves...),
		Unplaced: append([]string{}, p.Unplaced...),
	}
	for _, a := range p.Assign {
		out.Assign[a.VIP] = a.Node
	}
	return json.Marshal(out)
}
