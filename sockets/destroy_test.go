package sockets

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"viplease/nstest"
)

// tooLong is how soon a client must know.
const tooLong = 100 * time.Millisecond

// blocked is a read that waits.
type blocked struct {
	err chan error
	at  chan time.Time
}

// block starts reading, and returns when the reader is about to.
func block(c *net.TCPConn) blocked {
	b := blocked{make(chan error, 1), make(chan time.Time, 1)}
	started := make(chan struct{})
	go func() {
		close(started)
		_, err := c.Read(make([]byte, 1))
		b.at <- time.Now()
		b.err <- err
	}()
	<-started
	return b
}

// reset checks that the read has returned ECONNRESET soon after an instant.
func (b blocked) reset(t *testing.T, since time.Time) {
	t.Helper()
	select {
	case err := <-b.err:
		took := (<-b.at).Sub(since)
		if !errors.Is(err, unix.ECONNRESET) || took > tooLong {
			t.Errorf("the client's read returned %v after %v, want ECONNRESET within %v", err, took, tooLong)
		}
	case <-time.After(patience):
		t.Error("the client's read is still blocked")
	}
}

// destroy calls Destroy with an open gate and checks what it returns.
func destroy(t *testing.T, want int, addrs ...string) {
	t.Helper()
	if killed, err := Destroy(addresses(addrs...), always); killed != want || err != nil {
		t.Errorf("Destroy(%d addresses: %.100s) = %d, %v, want %d", len(addrs), addrs, killed, err, want)
	}
}

func TestClientIsReset(t *testing.T) {
	l := newLAN(t)
	for name, c := range map[string]struct{ network, listen, vip, other string }{
		"IPv4":                       {"tcp4", "", vip4, other4},
		"IPv6":                       {"tcp6", "", vip6, other6},
		"IPv4 on a socket for both":  {"tcp", "", vip4, other4},
		"IPv6 on a socket for both":  {"tcp", "", vip6, other6},
		"bound to the address alone": {"tcp4", vip4, vip4, ""},
		"IPv6, bound to it alone":    {"tcp6", vip6, vip6, ""},
		"link-local":                 {"tcp6", "", local6, other6},
	} {
		t.Run(name, func(t *testing.T) {
			s := listen(t, c.network, c.listen)
			p := l.connect(t, s, c.vip)
			if c.other != "" {
				defer l.connect(t, s, c.other).works(t)
			}
			wanted := c.vip
			if c.vip == local6 {
				wanted += "%near"
			}
			b := block(p.client)
			began := time.Now()
			destroy(t, 1, wanted)
			b.reset(t, began)
			if _, err := p.server.Read(make([]byte, 1)); !errors.Is(err, unix.ECONNABORTED) {
				t.Errorf("the server's read returned %v, want ECONNABORTED", err)
			}
			l.connect(t, s, c.vip).works(t) // the listening socket is there
			destroy(t, 1, wanted)
			destroy(t, 0, wanted)
		})
	}
}

// An IPv4 connection on a socket for both families is an IPv6 socket to the kernel; the test above would be of no use otherwise.
func TestMappedIsIPv6(t *testing.T) {
	l := newLAN(t)
	p := l.connect(t, listen(t, "tcp", ""), vip4)
	raw, err := p.server.SyscallConn()
	must(t, err)
	must(t, raw.Control(func(fd uintptr) {
		if domain, err := unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_DOMAIN); err != nil || domain != unix.AF_INET6 {
			t.Errorf("its domain is %d (%v)", domain, err)
		}
	}))
	destroy(t, 1, "::ffff:"+vip4) // means the IPv4 address
}

// Of many addresses each selects its own connections, and nothing else.
func TestManyAddresses(t *testing.T) {
	l := newLAN(t)
	s := listen(t, "tcp", "")
	vips := []string{vip4, vip6, other4, other6}
	for unwanted := range vips {
		wanted := slices.Delete(slices.Clone(vips), unwanted, unwanted+1)
		pairs := map[string]pair{}
		for _, vip := range vips {
			pairs[vip] = l.connect(t, s, vip)
		}
		// Of those that select nothing there are more than one filter takes, and the wanted ones stand in each part.
		var list []string
		for i, a := 0, netip.MustParseAddr("198.18.0.1"); i < 2*mostTargets; i, a = i+1, a.Next() {
			list = append(list, a.String(), "2001:db8:1::"+a.String())
			if i%mostTargets == mostTargets/2 {
				list = append(list, wanted[i/mostTargets], wanted[2])
			}
		}
		destroy(t, 3, append(list, wanted[0])...)
		pairs[vips[unwanted]].works(t)
		destroy(t, 1, vips[unwanted])
	}
}

// The client's address is on our sockets too, as the other end's.
func TestRemoteAddressSelectsNothing(t *testing.T) {
	l := newLAN(t)
	p := l.connect(t, listen(t, "tcp", ""), vip4)
	destroy(t, 0, "192.0.2.1", "0.0.0.1", "192.0.2.0", "192.0.2.102", "::1", "2001:db8::")
	p.works(t)
}

func TestLinkLocalOfAnotherLink(t *testing.T) {
	l := newLAN(t)
	p := l.connect(t, listen(t, "tcp6", ""), local6)
	destroy(t, 0, local6+"%lo", local6+"%4000")
	p.works(t)
	destroy(t, 1, local6+"%lo", local6+"%near", vip6)
}

// state is the state of a connection, a number of include/net/tcp_states.h.
func state(t *testing.T, c *net.TCPConn) (state uint8) {
	t.Helper()
	raw, err := c.SyscallConn()
	must(t, err)
	must(t, raw.Control(func(fd uintptr) {
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		if err != nil {
			t.Error(err)
			return
		}
		state = info.State
	}))
	return state
}

func TestStates(t *testing.T) {
	l := newLAN(t)
	t.Run("half-closed by the client", func(t *testing.T) {
		p := l.connect(t, listen(t, "tcp", ""), vip4)
		must(t, p.client.CloseWrite())
		_, err := p.server.Read(make([]byte, 1))
		if err == nil {
			t.Fatal("the server has not seen it")
		}
		if got := state(t, p.server); got != unix.BPF_TCP_CLOSE_WAIT {
			t.Errorf("its state is %d", got)
		}
		b, began := block(p.client), time.Now()
		destroy(t, 1, vip4)
		b.reset(t, began)
	})
	t.Run("half-closed by the server", func(t *testing.T) {
		p := l.connect(t, listen(t, "tcp", ""), vip4)
		must(t, p.server.CloseWrite())
		eventually(t, "FIN_WAIT2", func() bool { return state(t, p.server) == unix.BPF_TCP_FIN_WAIT2 })
		if _, err := p.client.Read(make([]byte, 1)); err == nil {
			t.Fatal("the client has not seen it")
		}
		destroy(t, 1, vip4)
		eventually(t, "the client cannot write", func() bool {
			_, err := p.client.Write([]byte{1})
			return errors.Is(err, unix.EPIPE) || errors.Is(err, unix.ECONNRESET)
		})
	})
	t.Run("not yet accepted", func(t *testing.T) {
		s := listen(t, "tcp", "")
		b, began := block(l.dial(t, at(vip4, s))), time.Now()
		destroy(t, 1, vip4)
		b.reset(t, began)
		if c, err := s.AcceptTCP(); err == nil { // one that is aborted already
			c.Close()
		}
		l.connect(t, s, vip4).works(t)
		destroy(t, 1, vip4)
	})
	t.Run("closed by both", func(t *testing.T) { // TIME_WAIT
		p := l.connect(t, listen(t, "tcp", ""), vip4)
		must(t, p.server.CloseWrite())
		if _, err := p.client.Read(make([]byte, 1)); err == nil {
			t.Fatal("the client has not seen it")
		}
		must(t, p.client.Close())
		if _, err := p.server.Read(make([]byte, 1)); err == nil {
			t.Fatal("the server has not seen it")
		}
		must(t, p.server.Close())
		destroy(t, 0, vip4)
	})
	t.Run("to itself", func(t *testing.T) {
		s := listen(t, "tcp4", vip4)
		c, err := net.Dial("tcp4", s.Addr().String())
		must(t, err)
		defer c.Close()
		killed, err := Destroy(addresses(vip4), always) // resetting one of the two ends ends the other
		if killed < 1 || err != nil {
			t.Errorf("Destroy = %d, %v", killed, err)
		}
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, unix.ECONNRESET) && !errors.Is(err, unix.ECONNABORTED) {
			t.Errorf("the read returned %v", err)
		}
		destroy(t, 0, vip4)
	})
}

// Go's servers listen for Multipath TCP. It makes no difference to a client of either kind.
func TestMultipath(t *testing.T) {
	l := newLAN(t)
	s := listenBy(t, true, "tcp", "")
	for _, multipath := range []bool{false, true} {
		var d net.Dialer
		d.SetMultipathTCP(multipath)
		client := l.dialBy(t, &d, at(vip4, s))
		server, err := s.AcceptTCP()
		must(t, err)
		defer server.Close()
		b, began := block(client), time.Now()
		destroy(t, 1, vip4)
		b.reset(t, began)
		destroy(t, 0, vip4)
	}
	l.connect(t, s, vip4).works(t)
}

// A connection that ends between the look and the reset must not cost the listening socket: by addresses and ports alone the
// kernel would take that one for it.
func TestGoneConnectionDoesNotCostTheListener(t *testing.T) {
	l := newLAN(t)
	s := listen(t, "tcp4", "")
	p := l.connect(t, s, vip4)
	d, err := openDiag()
	must(t, err)
	defer d.close()
	wanted, err := targets(addresses(vip4))
	must(t, err)
	found, err := d.find(queries(wanted)[0], always)
	must(t, err)
	if len(found) != 1 {
		t.Fatalf("found %d connections, want 1", len(found))
	}
	must(t, p.client.SetLinger(0))
	must(t, p.client.Close())
	if _, err := p.server.Read(make([]byte, 1)); !errors.Is(err, unix.ECONNRESET) {
		t.Fatal(err)
	}
	must(t, p.server.Close())
	killed, left, err := d.destroy(found, always)
	if killed != 0 || left != 0 || err != nil {
		t.Errorf("destroy = %d, %d, %v, want nothing", killed, left, err)
	}
	l.connect(t, s, vip4).works(t)
}

func TestNothingThere(t *testing.T) {
	newLAN(t)
	listen(t, "tcp", "")
	destroy(t, 0, vip4, vip6)
	destroy(t, 0)
}

// What makes no sense is refused, and the others are served.
func TestNonsense(t *testing.T) {
	l := newLAN(t)
	for address, want := range map[netip.Addr]string{
		{}:                                     "invalid IP is not the address of a host",
		netip.MustParseAddr("0.0.0.0"):         "0.0.0.0 is not",
		netip.MustParseAddr("::"):              ":: is not",
		netip.MustParseAddr("::ffff:0.0.0.0"):  "is not the address of a host",
		netip.MustParseAddr("224.0.0.1"):       "224.0.0.1 is not",
		netip.MustParseAddr("fe80::1"):         "says nothing without an interface",
		netip.MustParseAddr("fe80::1%nowhere"): "no such network interface",
	} {
		p := l.connect(t, listen(t, "tcp", ""), vip4)
		killed, err := Destroy([]netip.Addr{address, netip.MustParseAddr(vip4)}, always)
		if killed != 1 || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: killed %d, %v, want 1 and an error with %q", address, killed, err, want)
		}
		p.client.Close()
		if killed, err := Destroy([]netip.Addr{address}, always); killed != 0 || err == nil {
			t.Errorf("%v alone: killed %d, %v", address, killed, err)
		}
	}
}

func TestPermission(t *testing.T) {
	l := newLAN(t)
	p := l.connect(t, listen(t, "tcp", ""), vip4)
	nstest.Apart(t, func() error {
		header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
		var none [2]unix.CapUserData
		if err := unix.Capset(&header, &none[0]); err != nil {
			return err
		}
		if killed, err := Destroy(addresses(vip4), always); killed != 0 || !errors.Is(err, ErrPermission) {
			t.Errorf("Destroy = %d, %v, want %v", killed, err, ErrPermission)
		}
		if err := Supported(); err != nil {
			t.Errorf("Supported: %v", err)
		}
		return nil
	})
	p.works(t)
}

func TestExplain(t *testing.T) {
	for errno, want := range map[unix.Errno]error{
		unix.EOPNOTSUPP:      ErrUnsupported, // no CONFIG_INET_DIAG_DESTROY
		unix.EINVAL:          ErrUnsupported, // before Linux 4.5
		unix.ENOENT:          ErrUnsupported, // no CONFIG_INET_DIAG
		unix.EPROTONOSUPPORT: ErrUnsupported, // no netlink family for it
		unix.EPERM:           ErrPermission,
		unix.ENOBUFS:         unix.ENOBUFS,
	} {
		if err := explain(errno); !errors.Is(err, want) || !errors.Is(err, errno) {
			t.Errorf("explain(%v) = %v, want %v", errno, err, want)
		}
	}
	if explain(nil) != nil {
		t.Error("nil is an error")
	}
}
