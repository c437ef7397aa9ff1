package config

import "testing"

func TestDistance(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"hold", "hold", 0}, {"hold", "hol", 1}, {"hold", "old", 1}, {"hold", "hald", 1},
		{"", "ttl", 3}, {"ttl", "", 3}, {"kitten", "sitting", 3}, {"interval", "lavretni", 8}, {"ab", "ba", 2},
		{"a long key that nobody asked for", "ttl", 32},
	} {
		if got := distance(test.a, test.b); got != test.want {
			t.Errorf("from %q to %q it is %d, want %d", test.a, test.b, got, test.want)
		}
	}
}
