package plan

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
)

// scannedValues are some that the scanner reads, and some on which it gives up.
var scannedValues = []struct {
	value string
	reads bool
}{
	{string(Encode(fullClaim)), true},
	{string(Encode(fullState)), true},
	{string(Encode(Claim{V: Format})), false}, // addresses are null
	{string(Encode(Claim{V: Format, Addresses: []string{}})), true},
	{string(Encode(State{V: Format, Only: []string{}})), true},
	{`{}`, true}, {`{"v":-7}`, true}, {`{"v":0}`, true}, {`{"v":-0}`, true}, {`{"v":123456789012345678}`, true}, {`{"why":""}`, true},
	{``, false}, {`{`, false}, {`{"v":1`, false}, {`{"v":1}}`, false}, {`{"v":1,}`, false}, {`{,"v":1}`, false}, {`{"v":1 }`, false}, {`{"v":}`, false}, {`{"v":-}`, false},
	{`{"v":01}`, false}, {`{"v":1.0}`, false}, {`{"v":1e1}`, false}, {`{"v":1234567890123456789}`, false}, {`{"v":null}`, false}, {`{"V":1}`, false}, {`{"x":1}`, false},
	{`{"v":1,"v":2}`, false}, {`{"why":"a\n"}`, false}, {`{"why":"ä"}`, false}, {"{\"why\":\"\x7f\"}", false}, {"{\"why\":\"\n\"}", false}, {`{"why":"`, false},
	{`{"why":"","v":1}`, false}, {`{"since":"yesterday"}`, false}, {`{"since":"2026-11-20T17:00:00Z"}`, true}, {`{"cannot":["a"b]}`, false}, {`{"cannot":["a",]}`, false},
	{`{"cannot":[,"a"]}`, false}, {`{"cannot":["]",","]}`, true}, {`{"cannot":["a"`, false}, {`{"fast":true}`, true}, {`{"fast":tru}`, false},
	{`{"fast":{"grace_ms":150,"silence_ms":350}}`, true}, {`{"fast":{"grace_ms":150,"silence_ms":350},"to":"b"}`, true}, {`{"fast":{},"to":"b"}`, true}, {`{"fast":{"to":"b"}}`, false},
}

var (
	fullClaim = Claim{
		V: Format, VIP: "web", Node: "a", Empty: true, Reg: "r", MemberRev: 7, Contested: true, WaitMS: 4610, Fast: Terms{150, 350}, To: "b", Accept: 8, Moved: -9, Stay: true,
		Addresses: []string{"192.0.2.1/32", "2001:db8::1/128"}, Since: time.Unix(1_700_000_000, 5).UTC(), Why: "balance: (it is fair)", Try: "x/1", Writes: 12,
	}
	fullState = State{
		V: Format, State: StateReady, Why: "so", Since: time.Unix(1_700_000_000, 0).UTC(), Weight: 3, Digest: "d", Planner: 2, WaitMS: 4610, Fast: true,
		Cannot: []string{"a", "b"}, Only: []string{"c"}, Because: []string{"net1 is down"}, Recovers: []string{"c"},
	}
)

func TestScan(t *testing.T) {
	for _, c := range scannedValues {
		claim, state := scan([]byte(c.value), new(Claim).scan), scan([]byte(c.value), new(State).scan)
		if (claim || state) != c.reads {
			t.Errorf("%q: read as a claim %v, as a state %v", c.value, claim, state)
		}
		scansAlike(t, []byte(c.value))
	}
	for _, value := range []any{fullClaim, fullState} { // no field was forgotten
		for field, value := range reflect.ValueOf(value).Fields() {
			if value.IsZero() && field.Name != "Checks" {
				t.Errorf("%s is not tried", field.Name)
			}
		}
	}
}

// scansAlike holds the scanner against encoding/json.
func scansAlike(t *testing.T, value []byte) {
	t.Helper()
	var claim, claimWanted Claim
	if scan(value, claim.scan) {
		if err := json.Unmarshal(value, &claimWanted); err != nil || !reflect.DeepEqual(claim, claimWanted) {
			t.Errorf("the claim %q reads %+v, and should %+v, %v", value, claim, claimWanted, err)
		}
	}
	var state, stateWanted State
	if scan(value, state.scan) {
		if err := json.Unmarshal(value, &stateWanted); err != nil || !reflect.DeepEqual(state, stateWanted) {
			t.Errorf("the state %q reads %+v, and should %+v, %v", value, state, stateWanted, err)
		}
	}
}

// FuzzScan: what the scanner reads, encoding/json reads in the same way.
func FuzzScan(f *testing.F) {
	for _, c := range scannedValues {
		f.Add([]byte(c.value))
	}
	for _, value := range hostileValues {
		f.Add([]byte(strings.ReplaceAll(value, "NUMBER", "1")))
	}
	f.Fuzz(func(t *testing.T, value []byte) { scansAlike(t, value) })
}
