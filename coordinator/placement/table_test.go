package placement

import "testing"

func TestPlace(t *testing.T) {
	for _, c := range []struct {
		name          string
		members, vips string
		opts          func(in *Input)
		want          string
	}{
		{"nothing", "", "", nil, ""},
		{"nobody", "", "v1@a", nil, "-v1"},
		{"nobody ready", "a! b!", "v1@a v2", nil, "-v1; -v2"},
		{"nothing to hold", "a b", "", nil, ""},
		{"one each", "a b", "v1 v2", nil, "v1=a v2=b; v1 >a unheld 0; v2 >b unheld 0"},
		{"all well", "a b", "v1@b v2@a v3@a", nil, "v1=b v2=a v3=a"},
		{"new node", "a b", "v1@a v2@a v3@a", nil, "v1=a v2=a v3=b; v3 a>b balance 1"},
		{"dead node", "b c", "v1@a v2@a v3@b v4@c", nil, "v1=b v2=c v3=b v4=c; v1 a>b takeover 0; v2 a>c takeover 0"},
		{"drained node", "a! b", "v1@a v2@b", nil, "v1=b v2=b; v1 a>b drain 0"},
		{"dead link", "a:v2 b", "v1@a v2@b", nil, "v1=b v2=a; v1 a>b unfit 0; v2 b>a balance 1"},
		{"weights", "a*3 b", "v1 v2 v3 v4", nil,
			"v1=a v2=b v3=a v4=a; v1 >a unheld 0; v2 >b unheld 0; v3 >a unheld 0; v4 >a unheld 0"},
		{"no place", "a:v1 b:", "v1@a v2@b", nil, "v1=a; -v2"},

		{"pin at once", "a b", "v1^b@a v2@b", nil, "v1=b v2=a; v1 a>b pin 0; v2 b>a balance 1"},
		{"pin away", "a b!", "v1^b@a", nil, "v1=a"},
		{"pin unfit", "a b:v2", "v1^b@a v2", nil, "v1=a v2=b; v2 >b unheld 0"},
		{"pin before preference", "a b", "v1^b>a", nil, "v1=b; v1 >b unheld 0"},
		{"pins beat evenness", "a b", "v1^a v2^a v3", nil, "v1=a v2=a v3=b; v1 >a unheld 0; v2 >a unheld 0; v3 >b unheld 0"},
		{"homecoming", "a b", "v1>b@a v2@b", nil, "v1=b v2=a; v1 a>b prefer 1; v2 b>a balance 1"},
		{"second choice", "a b! c", "v1>b,c", nil, "v1=c; v1 >c unheld 0"},
		{"unheld goes home", "a b", "v1>b v2>b v3@b", nil,
			"v1=b v2=b v3=a; v1 >b unheld 0; v2 >b unheld 0; v3 b>a balance 1"},

		{"no failback", "a b", "v1>b@a", noFailback, "v1=a"},
		{"no failback, unheld", "a b", "v1>b v2>b", noFailback, "v1=b v2=b; v1 >b unheld 0; v2 >b unheld 0"},
		{"no failback, settled", "a b", "v1>b@b v2>b@b", noFailback, "v1=b v2=b"},
		{"no failback, balanced", "a b c!", "v1>c@a v2>c@a", noFailback, "v1=a v2=b; v2 a>b balance 1"},

		{"rounds", "a b", "v1@a v2@a v3@a v4@a v5@a", rounds(1), "v1=a v2=a v3=a v4=b v5=b; v4 a>b balance 1; v5 a>b balance 2"},
		{"emptiest first", "a b c", "v1@a v2@a v3@a v4@a v5@b v6@a v7@a v8@b v9@a", rounds(2),
			"v1=a v2=a v3=a v4=b v5=b v6=c v7=c v8=b v9=c; v6 a>c balance 1; v7 a>c balance 1; v4 a>b balance 2; v9 a>c balance 2"},
		{"homecoming waits", "a b", "v1>b@a v2>b@a", rounds(1), "v1=b v2=b; v1 a>b prefer 1; v2 a>b prefer 2"},
		{"forced moves do not wait", "a! b", "v1@a v2@a v3^b@a", rounds(1),
			"v1=b v2=b v3=b; v1 a>b drain 0; v2 a>b drain 0; v3 a>b drain 0"},
		{"no moves", "a b", "v1@a v2@a v3@a v4>b@a", rounds(0), "v1=a v2=a v3=a v4=a"},
		{"no moves, the rest around them", "a b", "v1@a v2@a v3@a v4 v5", rounds(0),
			"v1=a v2=a v3=a v4=b v5=b; v4 >b unheld 0; v5 >b unheld 0"},
		{"no moves but pins", "a b", "v1^b@a", rounds(0), "v1=b; v1 a>b pin 0"},

		{"frozen", "a b", "v1@a v2@a v3^b@a v4>b@a v5", frozen, "v1=a v2=a v3=a v4=a v5=b; v5 >b unheld 0"},
		{"frozen, drained", "a! b", "v1@a v2@c", frozen, "v1=a v2=b; v2 c>b takeover 0"},
		{"frozen, unfit", "a: b", "v1@a v2", frozen, "v1=a v2=b; v2 >b unheld 0"},

		{"tags apart", "a b", "v1#x v2#x v3#y v4#y", nil,
			"v1=a v2=b v3=a v4=b; v1 >a unheld 0; v2 >b unheld 0; v3 >a unheld 0; v4 >b unheld 0"},
		{"no move for tags", "a b", "v1#x@a v2#x@a v3#y@b v4#y@b", nil, "v1=a v2=a v3=b v4=b"},
		{"the move that tags like", "a b", "v1#y@a v2#x@a v3#x@a v4#y@b", nil, "v1=a v2=a v3=b v4=b; v3 a>b balance 1"},
		{"a new node takes what sits together", "a b", "v1#y@a v2#x@a v3#x@a", nil, "v1=a v2=a v3=b; v3 a>b balance 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := parse(c.members, c.vips)
			if c.opts != nil {
				c.opts(&in)
			}
			if got := format(Place(in)); got != c.want {
				t.Errorf("\n got %s\nwant %s", got, c.want)
			}
			mustBeOptimal(t, in, bruteForce(in))
		})
	}
}

func noFailback(in *Input) { in.Failback = false }
func frozen(in *Input)     { in.Frozen = true }
func rounds(n int) func(in *Input) {
	return func(in *Input) { in.MovesPerRound = n }
}
