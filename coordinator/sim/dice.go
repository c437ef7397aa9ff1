package sim

import "time"

// dice is a stream of chance (splitmix64; Steele, Lea, Flood: Fast splittable pseudorandom number generators, OOPSLA 2014). Everything that throws has its
// own, so that a fault taken out of a schedule changes as little as possible of the rest, and shrinking works.
type dice struct{ state uint64 }

func newDice(seed uint64, stream ...int) dice {
	d := dice{seed}
	for _, s := range stream {
		d.state = d.next() ^ uint64(s)*0x9e3779b97f4a7c15
	}
	return d
}

func (d *dice) next() uint64 {
	d.state += 0x9e3779b97f4a7c15
	z := d.state
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// n returns a number from 0 to n-1.
func (d *dice) n(n int) int { return int(d.next() % uint64(n)) }

// one tells whether one case in n has come.
func (d *dice) one(n int) bool { return d.n(n) == 0 }

// upTo returns a duration from 0 to most, exclusive.
func (d *dice) upTo(most time.Duration) time.Duration {
	if most <= 0 {
		return 0
	}
	return time.Duration(d.next() % uint64(most))
}

func (d *dice) between(least, most time.Duration) time.Duration { return least + d.upTo(most-least) }
