package main

import (
	"errors"
	"os/user"
	"strconv"
	"strings"
	"testing"

	"viplease/control"
)

func TestGroupID(t *testing.T) {
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	mine, err := user.LookupGroupId(me.Gid)
	if err != nil {
		t.Skipf("this user's group has no name: %v", err)
	}
	want, err := strconv.Atoi(me.Gid)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]int{"": control.NoGroup, mine.Name: want, me.Gid: want} {
		if got, err := groupID(name); got != want || err != nil {
			t.Errorf("%q is group %d, %v; want %d", name, got, err, want)
		}
	}
	var mistake interface{ ExitCode() int }
	if _, err := groupID("no-such-group"); !errors.As(err, &mistake) || mistake.ExitCode() != 2 || !strings.Contains(err.Error(), "groupadd") {
		t.Errorf("a group that is not there: %v", err)
	}
}
