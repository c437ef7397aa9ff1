package arpnotify

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// sentryLook is how often a Sentry looks again at its links: their hardware and IPv6 addresses, and those that failed.
	sentryLook = time.Second
)

// Heard is what one frame says about who is there.
type Heard struct {
	Link string
	MAC  [6]byte
	Addr netip.Addr // that it has; of a Question not valid
	Kind HeardKind
	At   time.Duration // since boot
}

// HeardKind tells what a frame was for.
type HeardKind int

const (
	Answer       HeardKind = iota // to a question of this host
	Announcement                  // to everybody: a gratuitous ARP packet, an unsolicited neighbour advertisement
	ARPQuestion                   // to this host alone whether it is there, as Sentries of others ask
	NDQuestion                    // the same by neighbour discovery, which kernels ask too
)

// A Sentry asks single hosts whether they are there: an ARP request to the hardware address that is known, with no sender address (RFC 5227 section 2.1.1),
// so that it changes nothing in anybody's cache, or a neighbour solicitation (RFC 4861 section 7.2.2), whose answer needs an address to go to. Where the
// hardware address is not known it asks all.
//
// Frames that arrive wait until Hear reads them, so a process that listens all the time is woken only as often as it wants to look. A Sentry keeps its
// sockets, two for each link, starts no goroutine, and is for one. Asking allocates nothing.
type Sentry struct {
	log      *slog.Logger
	now      func() time.Duration
	boxes    []*box
	heard    []Heard // of the last Hear
	looked   time.Duration
	interval time.Duration
}

// box is one link of a Sentry.
type box struct {
	link    string
	sockets []*polledSocket // in the order of listenFor; none: it cannot be watched
	lookAt  time.Duration
	why     string // it cannot
	mac     hardware
	source  netip.Addr // an IPv6 address of this host on the link; not valid: none
	arp     [60]byte
	nd      [86]byte
}

// NewSentry makes a Sentry. It opens nothing. now is the time since boot; log may be nil.
func NewSentry(now func() time.Duration, log *slog.Logger) *Sentry {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Sentry{log: log, now: now, looked: now(), interval: sentryLook}
}

// Close closes all sockets. Whoever listens again opens them again.
func (s *Sentry) Close() {
	for _, p := range s.boxes {
		p.close()
	}
	s.boxes = nil
}

// Listen says on which links to listen and ask, instead of all earlier ones.
func (s *Sentry) Listen(links []string) {
	s.boxes = slices.DeleteFunc(s.boxes, func(p *box) bool {
		if slices.Contains(links, p.link) {
			return false
		}
		p.close()
		return true
	})
	for _, name := range links {
		if s.box(name) == nil {
			s.boxes = append(s.boxes, &box{link: name})
		}
		s.look(s.box(name))
	}
}

func (s *Sentry) box(name string) *box {
	if i := slices.IndexFunc(s.boxes, func(p *box) bool { return p.link == name }); i >= 0 {
		return s.boxes[i]
	}
	return nil
}

func (p *box) close() {
	for _, socket := range p.sockets {
		_ = socket.close()
	}
	p.sockets = nil
}

// look opens what is not open, and learns the link's addresses, now and then.
func (s *Sentry) look(p *box) {
	now := s.now()
	if now < p.lookAt {
		return
	}
	p.lookAt = now + s.interval
	why := ""
	if err := p.look(); err != nil {
		why = err.Error()
		p.close()
		if why != p.why {
			s.log.Warn("link cannot be watched", "link", p.link, "err", err)
		}
	}
	p.why = why
}

// look takes two system calls while nothing has changed.
func (p *box) look() error {
	if len(p.sockets) < len(listenFor) || sameName(p.sockets[0].fd, p.sockets[0].to.Ifindex, p.link) != nil {
		p.close()
		if err := p.open(); err != nil {
			return err
		}
	}
	mac, err := hardwareAddr(p.sockets[0].fd)
	if err != nil {
		return err
	}
	if !p.source.IsValid() || p.mac != hardware(mac) {
		p.source = sourceOn(p.sockets[0].to.Ifindex)
	}
	p.mac = hardware(mac)
	p.prepare()
	return nil
}

func (p *box) open() error {
	index, err := linkIndex(p.link)
	if err != nil {
		return err
	}
	p.source = netip.Addr{}
	for _, etherType := range listenFor {
		socket, err := openPolled(index, etherType)
		if err != nil {
			return err
		}
		p.sockets = append(p.sockets, socket)
	}
	return nil
}

// sourceOn is an address that answers to a neighbour solicitation can go to: the link-local one, which no VIP is.
func sourceOn(index int) netip.Addr {
	addrs, err := (&net.Interface{Index: index}).Addrs()
	if err != nil {
		return netip.Addr{}
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok {
			if addr, ok := netip.AddrFromSlice(n.IP); ok && addr.Is6() && addr.IsLinkLocalUnicast() {
				return addr
			}
		}
	}
	return netip.Addr{}
}

// hearMost is how many frames one Hear reads from a socket, so that a flood does not hold it.
const hearMost = 2048

// Hear delivers what has arrived since it was last called, in the order of arrival. It never waits.
func (s *Sentry) Hear(deliver func(Heard)) {
	now, wall := s.now(), time.Now()
	s.heard = s.heard[:0]
	for _, p := range s.boxes {
		for _, socket := range p.sockets {
			if err := s.read(p.link, socket, now, wall); err != nil {
				p.close()
				p.lookAt = 0 // at the next question
				s.log.Debug("link is opened again", "link", p.link, "err", err)
				break
			}
		}
	}
	s.looked = now
	slices.SortStableFunc(s.heard, func(a, b Heard) int { return cmp.Compare(a.At, b.At) })
	for _, h := range s.heard {
		deliver(h)
	}
}

// read collects what has arrived at a socket. The kernel says when by the real time, which may be set meanwhile: then it counts as the moment of the last
// look or of this one.
func (s *Sentry) read(link string, socket *polledSocket, now time.Duration, wall time.Time) error {
	for range hearMost {
		frame, at, err := socket.next()
		if frame == nil || err != nil {
			return err
		}
		if h, ok := hearing(frame); ok {
			h.Link, h.At = link, max(min(now-wall.Sub(at), now), s.looked)
			s.heard = append(s.heard, h)
		}
	}
	return nil
}

// Ask sends one question, or says why it could not. A zero mac asks all hosts on the link.
func (s *Sentry) Ask(link string, addr netip.Addr, mac [6]byte) error {
	p := s.box(link)
	if p == nil {
		return fmt.Errorf("ask on %s: %w", link, unix.ENODEV)
	}
	s.look(p)
	if len(p.sockets) == 0 {
		return fmt.Errorf("ask on %s: %s", link, p.why)
	}
	if addr.Is4() {
		return p.sockets[0].send(p.askARP(addr, mac))
	}
	if !p.source.IsValid() {
		return fmt.Errorf("ask on %s: it has no link-local address", link)
	}
	return p.sockets[1].send(p.askND(addr, mac))
}

// prepare writes what every question on this link has in common.
func (p *box) prepare() {
	b := p.arp[:]
	copy(b[6:], p.mac[:])
	binary.BigEndian.PutUint16(b[12:], etherARP)
	copy(b[14:], []byte{0, 1, 8, 0, 6, 4, 0, 1}) // Ethernet, IPv4, a request
	copy(b[22:], p.mac[:])                       // from no address
	if !p.source.IsValid() {
		return
	}
	b = p.nd[:]
	copy(b[6:], p.mac[:])
	binary.BigEndian.PutUint16(b[12:], etherIPv6)
	copy(b[14:], ipv6Header(p.source, allNodes, ndLen+8))
	b[54] = neighbourSolicitation
	b[78], b[79] = sourceOption, 1
	copy(b[80:], p.mac[:])
}

var everybody = hardware{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

func (p *box) askARP(addr netip.Addr, mac hardware) []byte {
	b := p.arp[:]
	to := mac
	if mac == (hardware{}) {
		to = everybody
	}
	copy(b, to[:])
	copy(b[32:], mac[:])
	a := addr.As4()
	copy(b[38:], a[:])
	return b
}

// askND leaves the destination to the solicited-node group (RFC 4291 section 2.7.1) when the hardware address is not known.
func (p *box) askND(addr netip.Addr, mac hardware) []byte {
	b, a := p.nd[:], addr.As16()
	to := a
	if mac == (hardware{}) {
		to = [16]byte{0: 0xff, 1: 0x02, 11: 1, 12: 0xff, 13: a[13], 14: a[14], 15: a[15]}
		mac = hardware{0x33, 0x33, 0xff, a[13], a[14], a[15]}
	}
	copy(b, mac[:])
	copy(b[38:], to[:])
	copy(b[62:], a[:])
	b[56], b[57] = 0, 0
	sum := ^checksum(b[22:54], b[54:])
	binary.BigEndian.PutUint16(b[56:], sum)
	return b
}

// hearing reads a frame as it arrived.
func hearing(frame []byte) (h Heard, ok bool) {
	if len(frame) < ethernetHeader+arpLen {
		return Heard{}, false
	}
	group, b := frame[0]&1 != 0, frame[ethernetHeader:]
	switch binary.BigEndian.Uint16(frame[12:]) {
	case etherARP:
		return hearingARP(b, group)
	case etherIPv6:
		if len(b) < ipv6HeaderLen+ndLen {
			return Heard{}, false
		}
		s, ok := sightND(b, hardware(frame[6:12]))
		h = Heard{MAC: s.mac, Addr: s.addr, Kind: Answer}
		switch {
		case b[ipv6HeaderLen] == neighbourSolicitation:
			h.Kind, h.Addr = NDQuestion, netip.Addr{}
			ok = ok && !group && !s.probing
		case group:
			h.Kind = Announcement
		}
		return h, ok
	}
	return Heard{}, false
}

func hearingARP(b []byte, group bool) (h Heard, ok bool) {
	const reply = 2
	s, ok := sightARP(b, true)
	h = Heard{MAC: hardware(b[8:14]), Addr: s.addr}
	switch gratuitous := [4]byte(b[14:18]) == [4]byte(b[24:28]); {
	case !ok:
	case s.probing:
		h.Kind, h.Addr = ARPQuestion, netip.Addr{}
		ok = !group
	case gratuitous:
		h.Kind = Announcement
	case b[7] == reply && !group:
		h.Kind = Answer
	default:
		ok = false // it asks for somebody else
	}
	return h, ok
}
