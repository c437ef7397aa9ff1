package leases

import (
	"context"
	"fmt"
	"time"
)

// ranked returns the servers in the order in which to ask them.
func (s *Store) ranked() []*server {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*server(nil), s.order...)
}

// demote moves a server that did not answer to the end of the order.
func (s *Store) demote(srv *server) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, o := range s.order {
		if o == srv {
			s.order = append(append(s.order[:i:i], s.order[i+1:]...), srv)
			return
		}
	}
}

// contest is one request that several servers may be asked.
type contest[T any] struct {
	ask     func(context.Context, *conn) (T, error)
	servers []*server // in the order in which to ask them
	asked   int       // how many of them have been asked
	pending int       // how many of these have not answered
	results chan result[T]
}

type result[T any] struct {
	srv   *server
	value T
	err   error
}

// race asks the servers in their order until one answers: the next is asked when one has failed, or when the last one asked has been
// silent for stagger. The request must be one that may reach etcd more than once. Losers are cancelled and waited for; an answer of
// theirs is given to discard, if that is not nil.
func race[T any](ctx context.Context, s *Store, stagger time.Duration, ask func(context.Context, *conn) (T, error), discard func(T)) (T, error) {
	ctx, cancel := context.WithCancel(ctx)
	c := contest[T]{ask: ask, servers: s.ranked()}
	c.results = make(chan result[T], len(c.servers))
	defer c.settle(discard)
	defer cancel()

	hedge := time.NewTimer(stagger)
	defer hedge.Stop()
	c.next(ctx)
	var failed error
	for {
		select {
		case r := <-c.results:
			c.pending--
			if r.err == nil {
				c.won(s, r.srv)
				return r.value, nil
			}
			failed = also(failed, fmt.Errorf("%s: %w", r.srv.url, r.err))
			if c.asked < len(c.servers) && ctx.Err() == nil {
				c.next(ctx)
				hedge.Reset(stagger)
			} else if c.pending == 0 {
				if ctx.Err() != nil {
					s.demote(c.servers[0]) // it had the most time
				}
				var none T
				return none, failed
			}
		case <-hedge.C:
			if c.asked < len(c.servers) {
				c.next(ctx)
				hedge.Reset(stagger)
			}
		}
	}
}

// next asks one more server.
func (c *contest[T]) next(ctx context.Context) {
	srv := c.servers[c.asked]
	c.asked++
	c.pending++
	go func() {
		r := result[T]{srv: srv}
		var conn *conn
		if conn, r.err = srv.connect(ctx); r.err == nil {
			r.value, r.err = c.ask(ctx, conn)
			conn.heardFrom(r.err)
		}
		c.results <- r
	}()
}

// won moves those who were asked and did not answer first to the end of the order.
func (c *contest[T]) won(s *Store, winner *server) {
	for _, srv := range c.servers[:c.asked] {
		if srv != winner {
			s.demote(srv)
		}
	}
}

// settle waits for those who were asked and have been cancelled.
func (c *contest[T]) settle(discard func(T)) {
	for ; c.pending > 0; c.pending-- {
		if r := <-c.results; r.err == nil && discard != nil {
			discard(r.value)
		}
	}
}

func also(first, second error) error {
	if first == nil {
		return second
	}
	return fmt.Errorf("%w; %w", first, second)
}
