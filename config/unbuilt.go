package config

import (
	"fmt"
	"io"
)

// describeUnbuilt tells what is accepted, since it is on by default, and yet
// not carried out.
func (c Config) describeUnbuilt(w io.Writer) {
	if c.Takeover.Fast && !FastBuilt {
		fmt.Fprintln(w, "note: takeover.fast is not in this version of viplease: every takeover waits W, as with fast = false")
	}
}
