package main

import (
	"errors"
	"fmt"
	"os/user"
	"strconv"

	"viplease/config"
	"viplease/control"
)

// listen takes the control socket, for root and for the group that the configuration names.
func listen(c config.Control) (*control.Listener, error) {
	gid, err := groupID(c.Group)
	if err != nil {
		return nil, err
	}
	return control.Listen(c.Socket, 0o660, gid)
}

// groupID finds the group that may use the socket, by name or number; control.NoGroup for none.
func groupID(name string) (int, error) {
	if name == "" {
		return control.NoGroup, nil
	}
	g, err := user.LookupGroup(name)
	if err != nil && !errors.Is(err, user.UnknownGroupError(name)) {
		return 0, fmt.Errorf("look up control.group: %w", err)
	}
	if err != nil {
		g, err = user.LookupGroupId(name)
	}
	if err != nil {
		return 0, misconfigured{fmt.Errorf("control.group: this host has no group %s; make it with groupadd, or remove the line", name)}
	}
	return strconv.Atoi(g.Gid)
}
