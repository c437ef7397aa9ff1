package arpnotify

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
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
// hardware address is not known it asks all. It keeps its sockets, three for each link, and asking allocates nothing.
//
// Listen and Ask are for one goroutine, beside Run.
type Sentry struct {
	log      *slog.Logger
	now      func() time.Duration
	deliver  func(Heard)
	boxes    map[string]*box
	readers  sync.WaitGroup
	interval time.Duration

	links    func() ([]net.Interface, error) // the kernel; tests put their own here
	openWire func(link string) (wire, error)
	openEar  func(net.Interface, uint16) (ear, error)

	mu    sync.Mutex // guards deliver and ended
	ended bool
}

// box is one link of a Sentry.
type box struct {
	link   string
	wire   wire
	ears   []ear
	lookAt time.Duration
	broken bool // guarded by Sentry.mu: an ear has failed
	why    string
	mac    hardware
	source netip.Addr // an IPv6 address of this host on the link; not valid: none
	arp    [60]byte
	nd     [86]byte
}

// NewSentry makes a Sentry. It starts nothing and opens nothing. now is the time since boot; log may be nil.
func NewSentry(now func() time.Duration, log *slog.Logger) *Sentry {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Sentry{
		log: log, now: now, boxes: map[string]*box{}, interval: sentryLook,
		links: net.Interfaces, openWire: openQuickWire, openEar: openEar,
	}
}

// Run delivers what is heard, from several goroutines, until ctx is done. Then it closes all sockets.
func (s *Sentry) Run(ctx context.Context, deliver func(Heard)) error {
	s.mu.Lock()
	s.deliver = deliver
	s.mu.Unlock()
	<-ctx.Done()
	s.mu.Lock()
	s.ended, s.deliver = true, nil
	var ears []ear
	for _, p := range s.boxes {
		ears = append(ears, p.ears...)
		if p.wire != nil {
			ears = append(ears, wireEnd{p.wire})
		}
	}
	s.mu.Unlock()
	for _, e := range ears {
		_ = e.close()
	}
	s.readers.Wait()
	return nil
}

// wireEnd lets a wire be closed with the ears.
type wireEnd struct{ wire }

func (wireEnd) read() ([]byte, error) { return nil, unix.EBADF }
func (wireEnd) lost() uint64          { return 0 }

// Listen says on which links to listen and ask, instead of all earlier ones.
func (s *Sentry) Listen(links []string) {
	s.mu.Lock()
	for name, p := range s.boxes {
		if !slices.Contains(links, name) {
			delete(s.boxes, name)
			s.mu.Unlock()
			p.close()
			s.mu.Lock()
		}
	}
	for _, name := range links {
		if s.boxes[name] == nil && !s.ended {
			s.boxes[name] = &box{link: name}
		}
	}
	s.mu.Unlock()
	for _, name := range links {
		if p := s.box(name); p != nil {
			s.look(p)
		}
	}
}

func (s *Sentry) box(name string) *box {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return nil
	}
	return s.boxes[name]
}

func (p *box) close() {
	for _, e := range p.ears {
		_ = e.close()
	}
	if p.wire != nil {
		_ = p.wire.close()
	}
	p.ears, p.wire = nil, nil
}

// look opens what is not open, and learns the link's addresses, now and then.
func (s *Sentry) look(p *box) {
	now := s.now()
	s.mu.Lock()
	broken := p.broken
	p.broken = false
	s.mu.Unlock()
	if now < p.lookAt && !broken {
		return
	}
	p.lookAt = now + s.interval
	if broken {
		p.close()
	}
	err := s.open(p)
	why := ""
	if err != nil {
		why = err.Error()
		p.close()
	}
	if why != p.why && why != "" {
		s.log.Warn("link cannot be watched", "link", p.link, "err", err)
	}
	p.why = why
}

func (s *Sentry) open(p *box) error {
	links, err := s.links()
	if err != nil {
		return fmt.Errorf("list interfaces: %w", err)
	}
	at := slices.IndexFunc(links, func(i net.Interface) bool { return i.Name == p.link })
	if at < 0 {
		return fmt.Errorf("no such interface: %w", unix.ENODEV)
	}
	if p.wire == nil {
		if p.wire, err = s.openWire(p.link); err != nil {
			p.wire = nil
			return err
		}
		for _, etherType := range listenFor {
			e, err := s.openEar(links[at], etherType)
			if err != nil {
				return err
			}
			s.hear(p, e)
		}
	}
	f, err := p.wire.look()
	if err != nil {
		return err
	}
	p.mac, p.source = hardware(f.mac), sourceOn(links[at])
	p.prepare()
	return nil
}

// sourceOn is an address that answers to a neighbour solicitation can go to: the link-local one, which no VIP is.
func sourceOn(i net.Interface) netip.Addr {
	addrs, err := i.Addrs()
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

// hear reads an ear until it fails.
func (s *Sentry) hear(p *box, e ear) {
	p.ears = append(p.ears, e)
	link := p.link
	s.readers.Go(func() {
		for {
			frame, err := e.read()
			s.mu.Lock()
			deliver := s.deliver
			switch {
			case err != nil && isDown(err):
				s.mu.Unlock()
				continue
			case err != nil:
				p.broken = true
				s.mu.Unlock()
				return
			}
			s.mu.Unlock()
			if h, ok := hearing(frame); ok && deliver != nil {
				h.Link = link
				deliver(h)
			}
		}
	})
}

// Ask sends one question, or says why it could not. A zero mac asks all hosts on the link.
func (s *Sentry) Ask(link string, addr netip.Addr, mac [6]byte) error {
	p := s.box(link)
	if p == nil {
		return fmt.Errorf("ask on %s: %w", link, unix.ENODEV)
	}
	s.look(p)
	if p.wire == nil {
		return fmt.Errorf("ask on %s: %s", link, p.why)
	}
	if addr.Is4() {
		return p.wire.send(p.askARP(addr, mac))
	}
	if !p.source.IsValid() {
		return fmt.Errorf("ask on %s: it has no link-local address", link)
	}
	return p.wire.send(p.askND(addr, mac))
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
