package netif

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

const (
	// chunkBytes is the most that one sendmsg carries: well under the default send buffer (208 KiB).
	chunkBytes = 32 << 10
	// ackBytes is more than one answer, with an error and its text, takes of the receive buffer (Linux 6.18 charges 832 bytes for
	// it), which must hold those of a whole chunk of refusals: they are all queued before sendmsg returns.
	ackBytes = 2 << 10
	// laneBuffer is the size of the receive buffer asked for.
	laneBuffer = 1 << 20
)

// lane is the netlink socket that all requests of a Kernel go through, one at a time.
type lane struct {
	socket   *nl.NetlinkSocket
	handle   *nl.SocketHandle // the same socket and its sequence number, for requests that the library carries out
	port     uint32           // the kernel's name for the socket
	messages int              // the most that one sendmsg carries
	buffer   []byte           // for what is read
	out      []byte           // the chunk
}

func openLane() (*lane, error) {
	socket, err := nl.Subscribe(unix.NETLINK_ROUTE) // to nothing
	if err != nil {
		return nil, err
	}
	l := &lane{
		socket: socket,
		handle: &nl.SocketHandle{Socket: socket},
		buffer: make([]byte, 16<<10),
	}
	fd := socket.GetFd()
	if l.port, err = socket.GetPid(); err != nil {
		socket.Close()
		return nil, fmt.Errorf("get the port: %w", err)
	}
	size, err := growReceiveBuffer(fd, laneBuffer)
	if err != nil {
		socket.Close()
		return nil, err
	}
	l.messages = max(1, size/ackBytes)
	// Where the library waits for an answer. It should not have to: see receive.
	second := unix.Timeval{Sec: 1}
	_ = socket.SetReceiveTimeout(&second)
	_ = socket.SetSendTimeout(&second)
	// The kernel's own words, such as "IPv6 is disabled on this device". Kernels before 4.12 have none.
	_ = socket.SetExtAck(true)
	return l, nil
}

// growReceiveBuffer asks for a receive buffer, beyond net.core.rmem_max where the privilege suffices, and returns the size got.
func growReceiveBuffer(fd, size int) (int, error) {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, size) != nil {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, size); err != nil {
			return 0, fmt.Errorf("set receive buffer: %w", err)
		}
	}
	return unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF)
}

var (
	errUnsent     = errors.New("not sent")
	errUnanswered = errors.New("the kernel did not answer")
)

// answer is what became of one request.
type answer struct {
	// err is nil when the kernel did it, errUnsent, errUnanswered (it may have done it), or the kernel's refusal, a unix.Errno.
	err error
	// overtaken says that the gate closed after the request was sent and before its answer was read.
	overtaken bool
}

// exchange sends requests in as few sendmsg calls as they fit in and reads the answers, one for each request. gate is asked
// immediately before each sendmsg and after its answers; when it says no, nothing more is sent.
func (l *lane) exchange(requests []request, gate func() bool) []answer {
	answers := make([]answer, len(requests))
	for i := range answers {
		answers[i].err = errUnsent
	}
	for at := 0; at < len(requests); {
		chunk, n := l.chunk(requests[at:])
		if !gate() {
			break
		}
		sent := answers[at : at+n]
		l.send(chunk, sent)
		at += n
		if !gate() {
			for i := range sent {
				sent[i].overtaken = true
			}
			break
		}
	}
	return answers
}

// chunk serializes as many requests as one sendmsg may carry, at least one.
func (l *lane) chunk(requests []request) (chunk []byte, n int) {
	chunk = l.out[:0]
	last := 0
	for ; n < min(len(requests), l.messages); n++ {
		start := len(chunk)
		longer := requests[n].appendTo(chunk, l.handle.Seq+1+uint32(n))
		if n > 0 && len(longer) > chunkBytes {
			break
		}
		chunk, last = longer, start
	}
	acknowledge(chunk[last:])
	l.out = chunk
	return chunk, n
}

// send sends one chunk and reads its answers.
func (l *lane) send(chunk []byte, answers []answer) {
	first := l.handle.Seq + 1
	l.handle.Seq += uint32(len(answers))
	err := ignoringInterrupts(func() error {
		return unix.Sendto(l.socket.GetFd(), chunk, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK})
	})
	if err != nil {
		err = fmt.Errorf("send: %w", err)
	} else {
		err = l.receive(first, answers)
	}
	for i := range answers {
		if err != nil && answers[i].err == errUnsent {
			answers[i].err = fmt.Errorf("%w: %w", errUnanswered, err)
		}
	}
}

// receive reads the answers to the requests numbered from first: the refusals, and that to the last one, which comes in any case. The kernel handles a
// chunk in order and within sendmsg (rtnetlink_rcv in net/core/rtnetlink.c), so all its answers are waiting here: one that is not will never come, and what
// was not refused by then was done.
func (l *lane) receive(first uint32, answers []answer) error {
	var overrun error
	for last := false; !last; {
		var (
			size int
			from unix.Sockaddr
		)
		err := ignoringInterrupts(func() (err error) {
			size, from, err = unix.Recvfrom(l.socket.GetFd(), l.buffer, unix.MSG_DONTWAIT)
			return err
		})
		switch {
		case err == unix.ENOBUFS: // answers were lost, the others are still there
			overrun = err
			continue
		case err != nil:
			return errors.Join(overrun, err)
		}
		if sender, ok := from.(*unix.SockaddrNetlink); !ok || sender.Pid != nl.PidKernel {
			continue // any process can send to a netlink socket
		}
		for header, body := range messages(l.buffer[:size]) {
			i := header.Seq - first // wraps as the sequence does; an answer to an earlier request becomes huge
			if header.Type == unix.NLMSG_ERROR && i < uint32(len(answers)) && len(body) >= 4 {
				answers[i].err = parseError(header.Flags, body)
				last = last || i == uint32(len(answers)-1)
			}
		}
	}
	if overrun != nil {
		return overrun // nobody knows which were refused
	}
	for i := range answers {
		if answers[i].err == errUnsent {
			answers[i].err = nil
		}
	}
	return nil
}

// parseError reads the body of NLMSG_ERROR: nil for an acknowledgement, else the errno with the kernel's explanation.
func parseError(flags uint16, body []byte) error {
	errno := unix.Errno(-int32(binary.NativeEndian.Uint32(body)))
	if errno == 0 {
		return nil
	}
	rest := body[4:]
	if flags&unix.NLM_F_ACK_TLVS == 0 || len(rest) < unix.SizeofNlMsghdr {
		return errno
	}
	echo := unix.SizeofNlMsghdr
	if flags&unix.NLM_F_CAPPED == 0 {
		echo = align(int(binary.NativeEndian.Uint32(rest)))
	}
	for kind, value := range attributes(rest[min(max(echo, 0), len(rest)):]) {
		if kind == unix.NLMSGERR_ATTR_MSG {
			return fmt.Errorf("%w (%s)", errno, unix.ByteSliceToString(value))
		}
	}
	return errno
}

func ignoringInterrupts(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}

// sockets makes the library use this socket.
func (l *lane) sockets() map[int]*nl.SocketHandle {
	return map[int]*nl.SocketHandle{unix.NETLINK_ROUTE: l.handle}
}
