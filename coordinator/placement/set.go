package placement

import "math/bits"

// Set is a set of small non-negative integers, one bit each. The zero value is
// the empty set.
type Set []uint64

// Add puts i into the set.
func (s *Set) Add(i int) {
	for len(*s) <= i>>6 {
		*s = append(*s, 0)
	}
	(*s)[i>>6] |= 1 << (i & 63)
}

// Del takes i out of the set.
func (s Set) Del(i int) {
	if i>>6 < len(s) {
		s[i>>6] &^= 1 << (i & 63)
	}
}

// Has reports whether i is in the set.
func (s Set) Has(i int) bool {
	return i>>6 < len(s) && s[i>>6]>>(i&63)&1 != 0
}

// word returns the 64 members from 64*k on.
func (s Set) word(k int) uint64 {
	if k < len(s) {
		return s[k]
	}
	return 0
}

// A row is a set of nodes of fixed width.
type row []uint64

func (r row) has(i int32) bool { return r[i>>6]>>(i&63)&1 != 0 }
func (r row) add(i int32)      { r[i>>6] |= 1 << (i & 63) }
func (r row) del(i int32)      { r[i>>6] &^= 1 << (i & 63) }

func (r row) empty() bool {
	for _, w := range r {
		if w != 0 {
			return false
		}
	}
	return true
}

// single reports whether the row has exactly one member.
func (r row) single() bool {
	n := 0
	for _, w := range r {
		n += bits.OnesCount64(w)
	}
	return n == 1
}

func (r row) or(s row) {
	for k, w := range s {
		r[k] |= w
	}
}

// each calls f with every member in ascending order.
func (r row) each(f func(i int32)) {
	for k, w := range r {
		for ; w != 0; w &= w - 1 {
			f(int32(k<<6 + bits.TrailingZeros64(w)))
		}
	}
}

// transpose turns a 64 by 64 matrix of bits over: bit j of word i becomes bit
// i of word j (Warren, Hacker's Delight, section 7-3).
func transpose(a *[64]uint64) {
	m := uint64(1)<<32 - 1
	for j := 32; j != 0; {
		for k := 0; k < 64; k = (k + j + 1) &^ j {
			t := (a[k]>>j ^ a[k+j]) & m
			a[k] ^= t << j
			a[k+j] ^= t
		}
		j >>= 1
		m ^= m << j
	}
}
