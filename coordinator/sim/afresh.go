package sim

import (
	"fmt"
	"reflect"
	"time"

	"viplease/coordinator/plan"
)

// afresh decides again, looking at everything, and demands the same actions and no earlier wake-up. That is done now and then, so that what rests does so for
// several turns before.
func (p *process) afresh(now plan.Now, actions []plan.Action, wake time.Duration) {
	if p.turns++; !p.n.w.mutant.afresh || p.turns%4 != 0 {
		return
	}
	p.view.Rouse()
	again, earlier := plan.Decide(p.view, now)
	if !reflect.DeepEqual(actions, again) {
		p.n.w.judge.breaks("rest: %s decided %s, and looking at everything %s", p.n.name, fmt.Sprint(actions), fmt.Sprint(again))
	}
	if earlier < wake {
		p.n.w.judge.breaks("rest: %s would sleep for %v, and looking at everything for %v", p.n.name, wake-now.Boot, earlier-now.Boot)
	}
}
