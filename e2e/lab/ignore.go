package lab

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// IgnoreAnnouncements makes the host behind the port one that learns nothing from what is told to everybody: it drops ARP that is broadcast and does not
// ask for its own address, and neighbour advertisements to a group. What is sent to it alone, and questions for its own addresses, it takes.
func (p *Port) IgnoreAnnouncements() {
	l := p.host.lab
	l.t.Helper()
	l.check(p.ignore(), "make "+p.String()+" ignore announcements")
}

func (p *Port) ignore() error {
	nft, err := nftables.New(nftables.WithNetNSFd(int(p.host.netns.Fd())))
	if err != nil {
		return fmt.Errorf("open nf_tables: %w", err)
	}
	table := nft.AddTable(&nftables.Table{Family: nftables.TableFamilyNetdev, Name: "announcements"})
	in := nft.AddChain(&nftables.Chain{
		Table: table, Name: "in", Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookIngress, Priority: nftables.ChainPriorityFilter, Device: p.Name,
	})
	own := p.Addr4().As4()
	drop := func(matches ...[]expr.Any) {
		rule := &nftables.Rule{Table: table, Chain: in}
		for _, m := range matches {
			rule.Exprs = append(rule.Exprs, m...)
		}
		rule.Exprs = append(rule.Exprs, &expr.Verdict{Kind: expr.VerdictDrop})
		nft.AddRule(rule)
	}
	group := []expr.Any{ // the group bit of the destination
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseLLHeader, Offset: 0, Len: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 1, Mask: []byte{1}, Xor: []byte{0}},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: []byte{0}},
	}
	kind := func(etherType uint16) []expr.Any {
		return frameByte(expr.CmpOpEq, 12, binary.BigEndian.AppendUint16(nil, etherType))
	}
	drop(group, kind(unix.ETH_P_ARP), frameByte(expr.CmpOpNeq, 38, own[:]))
	drop(group, kind(unix.ETH_P_IPV6), frameByte(expr.CmpOpEq, 20, []byte{unix.IPPROTO_ICMPV6}), frameByte(expr.CmpOpEq, 54, []byte{neighborAdvertisement}))
	err = nft.Flush()
	for _, missing := range []error{unix.EOPNOTSUPP, unix.EPROTONOSUPPORT, unix.ENOENT} {
		if errors.Is(err, missing) {
			return fmt.Errorf("%w nf_tables for interfaces: %w", errMissing, err)
		}
	}
	if err != nil {
		return fmt.Errorf("commit to nf_tables: %w", err)
	}
	return nil
}

// frameByte compares what stands at an offset of an Ethernet frame.
func frameByte(op expr.CmpOp, offset uint32, value []byte) []expr.Any {
	return []expr.Any{
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseLLHeader, Offset: offset, Len: uint32(len(value))},
		&expr.Cmp{Op: op, Register: 1, Data: value},
	}
}
