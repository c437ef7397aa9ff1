package lab

import (
	"context"
	"errors"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// StartAll starts every server that does not run, as after a power failure, and waits until each answers.
func (c *Cluster) StartAll() {
	c.lab.t.Helper()
	for _, s := range c.Servers {
		if !s.process.running() {
			c.lab.check(s.launch(), "start "+s.Name)
		}
	}
	c.lab.check(c.ready(c.Servers), "start etcd")
}

// Client is a client of this server alone, that works from anywhere in the test. Close it.
func (s *Server) Client() *clientv3.Client {
	s.lab.t.Helper()
	client, err := s.cluster.connect([]string{s.Endpoint()})
	s.lab.check(err, "make a client of "+s.Name)
	return client
}

// Disarm ends the alarm of a cluster that was out of space: it compacts, defragments every server and takes the alarm away.
func (c *Cluster) Disarm() {
	c.lab.t.Helper()
	c.Compact()
	c.lab.check(await(patience, func() error {
		var errs []error
		for _, s := range c.Servers {
			errs = append(errs, c.at(s, func(ctx context.Context, client *clientv3.Client) error {
				_, err := client.Defragment(ctx, s.Endpoint())
				return err
			}))
		}
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		_, err := c.client.AlarmDisarm(ctx, &clientv3.AlarmMember{})
		return errors.Join(append(errs, err)...)
	}), "disarm the alarm of etcd")
}
