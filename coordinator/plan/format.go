package plan

import (
	"encoding/json"
	"errors"
	"fmt"
)

// Format is the version of every value that viplease writes to etcd, field "v".
//
// Nodes are upgraded one after the other, and one of them may go back, so values of two formats that follow each other stand side by side; and what nobody
// has had a reason to write since, such as a pin, stays in the format of long ago. Each version of viplease therefore reads every format up to the one after
// its own, and ignores fields that it does not know; it writes its own. Whoever makes a new format keeps to what this asks: who reads it as the one before
// must not be misled, and a field that is not there means what it meant before. What a reader must not miss takes two versions: one that heeds it, and a
// later one that relies on it.
//
// Live nodes whose formats are further apart do not mix: one does not register beside the other, see [View.apart], and the older leaves the claims of the
// newer alone.
const Format = 1

var (
	errForeign = errors.New("not written by viplease")
	errNewer   = errors.New("written by a newer viplease") // not understood, and left alone
)

// decode reads a value from etcd, which is untrusted input: it is bounded, and a format that this version does not know is refused.
func decode[T any](value []byte, version func(*T) int) (T, error) {
	var t T
	if len(value) > maxValue {
		return t, fmt.Errorf("%w: %d bytes", errForeign, len(value))
	}
	if err := json.Unmarshal(value, &t); err != nil {
		return t, fmt.Errorf("%w: %w", errForeign, err)
	}
	return t, understood(version(&t), Format)
}

// decodeQuickly is decode for what there are thousands of.
func decodeQuickly[T any](value []byte, fields func(*T, *scanner), version func(*T) int) (T, error) {
	var t T
	if len(value) <= maxValue && scan(value, func(s *scanner) { fields(&t, s) }) {
		return t, understood(version(&t), Format)
	}
	return decode(value, version)
}

// understood says why a viplease of a format does not understand a value of another; nil when it does.
func understood(value, reader int) error {
	switch {
	case value > reader+1:
		return fmt.Errorf("%w: format %d, this version knows %d", errNewer, value, reader)
	case value <= 0:
		return fmt.Errorf("%w: format %d", errForeign, value)
	}
	return nil
}

// apart says which live member runs a viplease that this one and its values cannot stand beside; "" when none does. Of the two, the one that comes stays out.
func (v *View) apart() string {
	who := ""
	for node, m := range v.etcd.members {
		if (m.V > Format+1 || 0 < m.V && m.V+1 < Format) && (who == "" || node < who) {
			who = node
		}
	}
	m := v.etcd.members[who]
	switch {
	case who == "":
		return ""
	case m.V > Format:
		return fmt.Sprintf("%s runs a newer viplease, %.40q, of format %d; this version knows %d: upgrade this node, one version after the other", who, m.Version, m.V, Format)
	}
	return fmt.Sprintf("%s runs an older viplease, %.40q, of format %d; this version knows %d: upgrade %s first, one version after the other", who, m.Version, m.V, Format, who)
}
