package sockets

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"

	"golang.org/x/sys/unix"
)

// From include/uapi/linux/inet_diag.h.
const (
	sizeofRequest  = 56 // struct inet_diag_req_v2: family, protocol, extensions, padding, states (32 bits), id
	sizeofID       = 48 // struct inet_diag_sockid: ports, addresses, interface, cookie
	sizeofSocket   = 72 // struct inet_diag_msg: family, state, timer, retransmissions, id, ...
	offsetID       = 4  // in struct inet_diag_msg
	attrBytecode   = 1  // INET_DIAG_REQ_BYTECODE
	sizeofAttr     = 4
	receiveAtOnce  = 64 << 10 // more than the 32 KiB that the kernel fills at most (netlink_dump in net/netlink/af_netlink.c)
	requestAndHead = unix.SizeofNlMsghdr + sizeofRequest
)

var (
	errGate       = errors.New("the gate is closed")
	errUnanswered = errors.New("the kernel did not answer")
)

// connection is a TCP socket as the kernel identifies it. The id ends with a cookie that no other socket of this boot has. It is
// what makes it safe to name a connection that has just ended: by its addresses and ports alone the kernel would find the
// listening socket instead, and close that.
type connection struct {
	family uint8
	id     [sizeofID]byte
}

// diag is a socket to the kernel's socket monitoring, sock_diag(7).
type diag struct {
	fd     int
	seq    uint32
	buffer []byte
}

func openDiag() (*diag, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil, fmt.Errorf("open netlink: %w", explain(err))
	}
	return &diag{fd: fd, buffer: make([]byte, receiveAtOnce)}, nil
}

func (d *diag) close() { unix.Close(d.fd) }

// find returns the connections that a query selects. Asked before each part, the gate ends it with errGate and what was found.
func (d *diag) find(q query, inTime func() bool) (found []connection, err error) {
	if !inTime() {
		return nil, errGate
	}
	request := d.request(nil, unix.SOCK_DIAG_BY_FAMILY, unix.NLM_F_DUMP, connection{family: q.family}, q.states)
	if len(q.filter) > 0 {
		request = binary.NativeEndian.AppendUint16(request, uint16(sizeofAttr+len(q.filter)))
		request = binary.NativeEndian.AppendUint16(request, attrBytecode)
		request = append(request, q.filter...)
		binary.NativeEndian.PutUint32(request, uint32(len(request)))
	}
	if err := d.send(request); err != nil {
		return nil, err
	}
	for inTime() {
		answers, err := d.receive()
		if err != nil {
			return found, err
		}
		for h, body := range answers {
			switch {
			case h.Seq != d.seq: // of an earlier request, which was given up
			case h.Type == unix.NLMSG_DONE, h.Type == unix.NLMSG_ERROR:
				return found, answer(body)
			case len(body) >= sizeofSocket:
				found = append(found, connection{body[0], [sizeofID]byte(body[offsetID:])})
			}
		}
	}
	return found, errGate
}

// exchange asks for connections to be destroyed, in one system call, and returns the answer for each.
func (d *diag) exchange(list []connection) ([]unix.Errno, error) {
	var (
		request []byte
		answers = make([]unix.Errno, len(list))
		first   = d.seq + 1
	)
	for _, c := range list {
		request = d.request(request, unix.SOCK_DESTROY, unix.NLM_F_ACK, c, 0)
	}
	if err := d.send(request); err != nil {
		return nil, err
	}
	for pending := len(list); pending > 0; {
		messages, err := d.receive()
		if err != nil {
			return nil, err
		}
		for h, body := range messages {
			if i := h.Seq - first; h.Type == unix.NLMSG_ERROR && i < uint32(len(list)) {
				answers[i], _ = answer(body).(unix.Errno)
				pending--
			}
		}
	}
	return answers, nil
}

// request appends a request about a socket, or all, with the next sequence number.
func (d *diag) request(b []byte, kind, flags uint16, c connection, states uint32) []byte {
	d.seq++
	b = binary.NativeEndian.AppendUint32(b, requestAndHead)
	b = binary.NativeEndian.AppendUint16(b, kind)
	b = binary.NativeEndian.AppendUint16(b, unix.NLM_F_REQUEST|flags)
	b = binary.NativeEndian.AppendUint32(b, d.seq)
	b = binary.NativeEndian.AppendUint32(b, 0) // from: the kernel knows
	b = append(b, c.family, unix.IPPROTO_TCP, 0, 0)
	b = binary.NativeEndian.AppendUint32(b, states)
	return append(b, c.id[:]...)
}

func (d *diag) send(request []byte) error {
	for {
		err := unix.Sendto(d.fd, request, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
		if err != unix.EINTR {
			return err
		}
	}
}

// receive reads some messages; they are valid until the next call. The kernel handles requests within sendmsg, and the next part
// of a dump within recvmsg (netlink_rcv_skb and netlink_recvmsg in net/netlink/af_netlink.c), so that there is nothing to wait
// for: an answer that is not there will never come.
func (d *diag) receive() (iter.Seq2[unix.NlMsghdr, []byte], error) {
	for {
		n, _, err := unix.Recvfrom(d.fd, d.buffer, unix.MSG_DONTWAIT|unix.MSG_TRUNC)
		switch {
		case err == unix.EINTR:
			continue
		case err == unix.EAGAIN:
			return nil, errUnanswered
		case err != nil:
			return nil, fmt.Errorf("%w: %w", errUnanswered, err)
		case n > len(d.buffer):
			return nil, fmt.Errorf("%w: it is too long: %d bytes", errUnanswered, n)
		}
		return messages(d.buffer[:n]), nil
	}
}

// messages takes a datagram apart.
func messages(b []byte) iter.Seq2[unix.NlMsghdr, []byte] {
	return func(yield func(unix.NlMsghdr, []byte) bool) {
		for len(b) >= unix.SizeofNlMsghdr {
			h := unix.NlMsghdr{
				Len:  binary.NativeEndian.Uint32(b),
				Type: binary.NativeEndian.Uint16(b[4:]),
				Seq:  binary.NativeEndian.Uint32(b[8:]),
			}
			if h.Len < unix.SizeofNlMsghdr || int(h.Len) > len(b) {
				return
			}
			if !yield(h, b[unix.SizeofNlMsghdr:h.Len]) {
				return
			}
			b = b[min((int(h.Len)+unix.NLMSG_ALIGNTO-1)&^(unix.NLMSG_ALIGNTO-1), len(b)):]
		}
	}
}

// answer is what an acknowledgement, an error or the end of a dump says.
func answer(body []byte) error {
	if len(body) < 4 {
		return nil // older kernels end a dump without a word
	}
	if n := int32(binary.NativeEndian.Uint32(body)); n < 0 {
		return unix.Errno(-n)
	}
	return nil
}
