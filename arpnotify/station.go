package arpnotify

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"sync"

	"golang.org/x/sys/unix"
)

// A station is where one link is listened to.
type station struct {
	name    string
	index   int    // of the interface that ears are opened on
	failure string // why the last look found that nothing can be heard; empty: it can

	ears    []ear // none: closed. Listener.mu guards them, and broken.
	broken  error // why an ear that should be open is not read any more
	readers sync.WaitGroup
}

// lost is what the ears have lost since they were last asked.
func (s *station) lost() uint64 {
	var n uint64
	for _, e := range s.ears {
		n += e.lost()
	}
	return n
}

// settle looks at all links and listens to those that are wanted. It reports false when it has to be tried again though
// nothing changes.
func (l *Listener) settle(hear func(link string, s sighting)) (ok bool) {
	links, wanted, err := l.survey()
	for name, s := range l.stations {
		if wanted[name] == 0 {
			l.leave(s)
			l.mu.Lock()
			delete(l.stations, name)
			l.mu.Unlock()
		}
	}
	ok = true
	for name, addresses := range wanted {
		s := l.stations[name]
		if s == nil {
			s = &station{name: name}
			l.mu.Lock()
			l.stations[name] = s
			l.mu.Unlock()
		}
		linkErr := err
		if linkErr == nil {
			linkErr = l.tune(s, links, hear)
		}
		ok = ok && linkErr == nil
		l.report(s, addresses, linkErr)
	}
	return ok
}

// survey lists the links of this host, and the wanted ones with the number of their addresses.
func (l *Listener) survey() (links []net.Interface, wanted map[string]int, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	wanted = make(map[string]int, len(l.want))
	for name, addrs := range l.want {
		wanted[name] = len(addrs)
	}
	links, err = l.readLinks(l.now())
	return links, wanted, err
}

// tune has s listen to the interface that has its name now, and says why nothing can be heard there.
func (l *Listener) tune(s *station, links []net.Interface, hear func(link string, s sighting)) error {
	at := slices.IndexFunc(links, func(i net.Interface) bool { return i.Name == s.name })
	l.mu.Lock()
	open, broken := len(s.ears) > 0, s.broken
	l.mu.Unlock()
	if open && (at < 0 || links[at].Index != s.index || broken != nil) {
		l.leave(s)
		open = false
	}
	switch {
	case at < 0:
		return fmt.Errorf("no such interface: %w", unix.ENODEV)
	case broken != nil:
		return broken
	case !open:
		if err := l.enter(s, links[at], hear); err != nil {
			return err
		}
	}
	if links[at].Flags&net.FlagUp == 0 {
		return unix.ENETDOWN // the sockets stay, and hear again when it is up
	}
	return nil
}

// enter opens the ears of s and reads them.
func (l *Listener) enter(s *station, link net.Interface, hear func(link string, s sighting)) error {
	var ears []ear
	for _, etherType := range listenFor {
		e, err := l.open(link, etherType)
		if err != nil {
			for _, e := range ears {
				_ = e.close()
			}
			return err
		}
		ears = append(ears, e)
	}
	l.mu.Lock()
	s.ears, s.index = ears, link.Index
	l.mu.Unlock()
	for _, e := range ears {
		s.readers.Go(func() {
			each := func(x sighting) { hear(s.name, x) }
			err := follow(e, each)
			for errors.Is(err, unix.ENETDOWN) {
				err = follow(e, each)
			}
			l.mu.Lock()
			defer l.mu.Unlock()
			if s.ears != nil {
				s.broken = err
				l.nudge()
			}
		})
	}
	return nil
}

// follow reads e and hands on what it sights, until e is closed or fails. The error matches unix.ENETDOWN when the link
// has gone down: e is still good, and hears again when the link is up.
func follow(e ear, each func(sighting)) error {
	for {
		frame, err := e.read()
		if err != nil {
			return fmt.Errorf("listen: %w", err)
		}
		if s, ok := sight(frame); ok {
			each(s)
		}
	}
}

// leave closes the ears of s and waits for their readers. Closing such a socket cannot fail in a way that anybody could
// act on.
func (l *Listener) leave(s *station) {
	l.mu.Lock()
	l.counters.Lost += s.lost()
	ears := s.ears
	s.ears = nil
	l.mu.Unlock()
	for _, e := range ears {
		_ = e.close()
	}
	s.readers.Wait()
	s.broken = nil
}

func (l *Listener) leaveAll() {
	for _, s := range l.stations {
		l.leave(s)
	}
}

// report logs that s cannot be listened to for another reason than before, or that it can again.
func (l *Listener) report(s *station, addresses int, err error) {
	var failure string
	if err != nil {
		failure = err.Error()
		l.mu.Lock()
		l.counters.Errors++
		l.mu.Unlock()
	}
	switch {
	case failure == s.failure:
	case err != nil:
		l.log.Warn("link cannot listen", "link", s.name, "addresses", addresses, "err", err)
	default:
		l.log.Info("link listens again", "link", s.name, "after", s.failure)
	}
	s.failure = failure
}
