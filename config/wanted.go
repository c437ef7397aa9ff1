package config

import (
	"math"
	"strconv"
	"time"
)

// wanted is what the reader asked for at a key: the documentation takes types
// and bounds from here, so that it says what is enforced.
type wanted struct {
	kind        string // "duration"
	least, most string // as the file would write them; "": no bound worth telling
}

// want remembers what was asked for. A bound that depends on other keys is
// the one for their present values: in the sample, their defaults.
func (t table) want(key, kind, least, most string) {
	t.r.wanted[t.name(key)] = wanted{kind, least, most}
}

func (t table) wantNumber(key string, least, most int) {
	highest := ""
	if most < math.MaxInt32 {
		highest = strconv.Itoa(most)
	}
	t.want(key, "whole number", strconv.Itoa(least), highest)
}

func (t table) wantDuration(key, kind string, least, most time.Duration) {
	lowest := ""
	if least > 0 {
		lowest = Short(least)
	}
	t.want(key, kind, lowest, Short(most))
}
