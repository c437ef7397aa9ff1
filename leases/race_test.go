package leases

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"
)

// Making a connection object contacts nobody, so these servers need not exist.
var nobodies = []string{"http://127.0.0.1:1", "http://127.0.0.1:2", "http://127.0.0.1:3"}

func (s *Store) urls() string {
	var urls []string
	for _, srv := range s.ranked() {
		urls = append(urls, srv.url[len(srv.url)-1:])
	}
	return strings.Join(urls, "")
}

func TestRace(t *testing.T) {
	failure := errors.New("failure")
	for _, tt := range []struct {
		name    string
		first   string // what the servers do: answer, fail, or hang until they are cancelled
		second  string
		third   string
		stagger time.Duration
		winner  string
		order   string // afterwards
		asked   int
	}{
		{"the first answers", "answer", "answer", "answer", time.Hour, "1", "123", 1},
		{"the first fails", "fail", "answer", "answer", time.Hour, "2", "231", 2},
		{"the first hangs", "hang", "answer", "answer", 100 * time.Millisecond, "2", "231", 2},
		{"two hang", "hang", "hang", "answer", 100 * time.Millisecond, "3", "312", 3},
		{"one hangs, one fails", "hang", "fail", "answer", 100 * time.Millisecond, "3", "312", 3},
		{"all fail", "fail", "fail", "fail", time.Hour, "", "123", 3},
		{"all hang", "hang", "hang", "hang", 100 * time.Millisecond, "", "231", 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := open(t, nobodies...)
			asked := make(chan string, 9)
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
			defer cancel()
			got, err := race(ctx, s, tt.stagger, func(ctx context.Context, c *conn) (string, error) {
				asked <- c.url
				switch map[string]string{nobodies[0]: tt.first, nobodies[1]: tt.second, nobodies[2]: tt.third}[c.url] {
				case "answer":
					for len(asked) < tt.asked && ctx.Err() == nil { // one that hangs may not have begun to
						runtime.Gosched()
					}
					return c.url[len(c.url)-1:], nil
				case "fail":
					return "junk", failure
				}
				<-ctx.Done()
				return "junk", ctx.Err()
			}, nil)
			if got != tt.winner || (err == nil) != (tt.winner != "") {
				t.Errorf("answer %q, %v, want %q", got, err, tt.winner)
			}
			if n := len(asked); n != tt.asked {
				t.Errorf("%d servers asked, want %d", n, tt.asked)
			}
			if order := s.urls(); order != tt.order {
				t.Errorf("order %s afterwards, want %s", order, tt.order)
			}
			if tt.winner == "" {
				for _, url := range nobodies {
					if !strings.Contains(err.Error(), url) {
						t.Errorf("error %q does not name %s", err, url)
					}
				}
			}
		})
	}
}

// A loser that answers all the same is discarded before race returns.
func TestRaceDiscardsLosers(t *testing.T) {
	s := open(t, nobodies[:2]...)
	var discarded []string
	got, err := race(seconds(t), s, time.Millisecond, func(ctx context.Context, c *conn) (string, error) {
		if c.url == nobodies[0] {
			<-ctx.Done()
		}
		return c.url, nil
	}, func(v string) { discarded = append(discarded, v) })
	if got != nobodies[1] || err != nil || len(discarded) != 1 || discarded[0] != nobodies[0] {
		t.Errorf("answer %s, %v, discarded %v", got, err, discarded)
	}
}
