package faults

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// Fault is one fault of a schedule.
type Fault struct {
	Kind *Kind
	At   time.Duration // from the schedule's beginning
	For  time.Duration // 0: it is done at once
	Node int           // whom it hits, of those that concern a node
	Draw uint32        // decides what else is left to chance: which VIP, which server, how much
}

func (f Fault) String() string {
	s := fmt.Sprintf("%7.2fs %-17s node%d", f.At.Seconds(), f.Kind, f.Node+1)
	if f.For > 0 {
		s += fmt.Sprintf(" for %.2fs", f.For.Seconds())
	}
	return s + fmt.Sprintf(" draw %d", f.Draw)
}

// pick uses up a part of the draw: a number below n, and the fault with what is left of it.
func (f Fault) pick(n int) (int, Fault) {
	i := int(f.Draw % uint32(n))
	f.Draw /= uint32(n)
	return i, f
}

// Options say what a schedule is made of.
type Options struct {
	Nodes     int     // at least 2
	PerMinute float64 // faults, on average
	Kinds     []*Kind // which ones
}

// Scheduler makes schedules. Kinds come as from a shuffled deck of cards, so that each has had its turn before one is back.
type Scheduler struct {
	o    Options
	rng  *rand.Rand
	deck []*Kind
}

// NewScheduler returns a scheduler that gives, for the same seed and options, the same schedules in the same order.
func NewScheduler(seed uint64, o Options) *Scheduler {
	return &Scheduler{o: o, rng: rand.New(rand.NewPCG(seed, 0))}
}

// Next returns the next schedule, by time. All its faults end within length.
func (s *Scheduler) Next(length time.Duration) []Fault {
	var all []Fault
	now := busy{nodes: s.o.Nodes}
	for at := s.gap(); at < length; at += s.gap() {
		for _, f := range all {
			if f.At+f.For+mending <= at {
				now.leave(f)
			}
		}
		if f, ok := s.next(at, length-at, &now); ok {
			now.enter(f)
			all = append(all, f)
		}
	}
	return all
}

// mending is how long a fault's victim is left alone after its end, so that it is mended before something else breaks it.
const mending = time.Second

// gap is the time from one fault to the next. Its mean is what PerMinute says, to within a few percent that the bounds take.
func (s *Scheduler) gap() time.Duration {
	mean := time.Duration(float64(time.Minute) / s.o.PerMinute)
	return min(time.Duration(s.rng.ExpFloat64()*float64(mean)), 4*mean).Round(time.Millisecond)
}

// next takes the first card of the deck that can be played at this time, when left is left of the schedule.
func (s *Scheduler) next(at, left time.Duration, now *busy) (Fault, bool) {
	if len(s.deck) == 0 {
		s.shuffle()
	}
	for i, k := range s.deck {
		if k.Least > left {
			continue
		}
		for _, node := range s.rng.Perm(s.o.Nodes) {
			f := Fault{Kind: k, At: at, Node: node}
			if !now.room(f) {
				continue
			}
			// Those that would last too long are all mended at once, at the end.
			f.For, f.Draw = min(s.length(k.Least, k.Most), left), s.rng.Uint32()
			s.deck = slices.Delete(s.deck, i, i+1)
			return f, true
		}
	}
	return Fault{}, false
}

func (s *Scheduler) shuffle() {
	for _, k := range s.o.Kinds {
		s.deck = append(s.deck, slices.Repeat([]*Kind{k}, k.weight)...)
	}
	s.rng.Shuffle(len(s.deck), func(i, j int) { s.deck[i], s.deck[j] = s.deck[j], s.deck[i] })
}

// length is a time between least and most, short ones and long ones alike: its logarithm is evenly distributed.
func (s *Scheduler) length(least, most time.Duration) time.Duration {
	const floor = time.Millisecond
	low, high := math.Log(float64(max(least, floor))), math.Log(float64(max(most, floor)))
	if most == 0 {
		return 0
	}
	return time.Duration(math.Exp(low + s.rng.Float64()*(high-low))).Round(time.Millisecond)
}

// busy is what faults have in their hands at a time.
type busy struct {
	nodes int // how many there are
	in    []Fault
}

// room tells whether a fault may begin: nobody else has what it touches, and one node is left whole.
func (b *busy) room(f Fault) bool {
	hurt := map[int]bool{}
	if f.Kind.hurts {
		hurt[f.Node] = true
	}
	for _, g := range b.in {
		for _, p := range g.Kind.takes {
			if slices.Contains(f.Kind.takes, p) && (p == servers || g.Node == f.Node) {
				return false
			}
		}
		if g.Kind.hurts {
			hurt[g.Node] = true
		}
	}
	return len(hurt) < b.nodes
}

func (b *busy) enter(f Fault) { b.in = append(b.in, f) }

func (b *busy) leave(f Fault) {
	b.in = slices.DeleteFunc(b.in, func(g Fault) bool { return g == f })
}
