package config

import (
	"strings"
	"time"
)

// Hooks are programs of the operator, each with its arguments; nil: none.
// Whether they are there, and safe to run, is not known yet: see package hooks.
type Hooks struct {
	Acquired []string // run when a VIP has come up on this node
	Released []string // when it is not up here any more
	Fault    []string // when it should be up here and cannot be
	Timeout  time.Duration
}

func readHooks(t table) Hooks {
	return Hooks{
		Acquired: t.program("acquired"), Released: t.program("released"), Fault: t.program("fault"),
		Timeout: t.duration("timeout", 10*time.Second, minPeriod, maxTimer),
	}
}

// describe is what runs when, or "".
func (h Hooks) describe() string {
	var parts []string
	for _, hook := range []struct {
		name string
		argv []string
	}{{"acquired", h.Acquired}, {"released", h.Released}, {"fault", h.Fault}} {
		if len(hook.argv) > 0 {
			parts = append(parts, hook.name+": "+strings.Join(hook.argv, " "))
		}
	}
	if len(parts) == 0 {
		return ""
	}
	return strings.Join(parts, "; ") + "; killed after " + Short(h.Timeout)
}
