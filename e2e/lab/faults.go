package lab

import (
	"errors"
	"fmt"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// Cut cuts the ports off in one step: no frame passes one of them while another already passes none. Safe for concurrent use.
func (l *Lab) Cut(ports ...*Port) {
	l.t.Helper()
	l.fault(fmt.Sprintf("cut %v", ports), func() {
		for _, p := range ports {
			p.cut = true
		}
	})
}

// Heal ends what Cut and Lose did to the ports, in one step. Safe for concurrent use.
func (l *Lab) Heal(ports ...*Port) {
	l.t.Helper()
	l.fault(fmt.Sprintf("heal %v", ports), func() {
		for _, p := range ports {
			p.cut, p.loss, p.noARP = false, 0, false
		}
	})
}

// Block drops what the first port sends to the second one; the other direction and all others pass. Two hosts that cannot hear each
// other while a third hears both need two of these. Safe for concurrent use.
func (l *Lab) Block(from, to *Port) {
	l.t.Helper()
	l.fault(fmt.Sprintf("block %v to %v", from, to), func() { l.blocked[[2]*Port{from, to}] = true })
}

// Unblock ends Block. Safe for concurrent use.
func (l *Lab) Unblock(from, to *Port) {
	l.t.Helper()
	l.fault(fmt.Sprintf("unblock %v to %v", from, to), func() { delete(l.blocked, [2]*Port{from, to}) })
}

// fault changes what is wrong with the network and brings the switch in line with it. It returns when that holds.
func (l *Lab) fault(what string, change func()) {
	l.t.Helper()
	l.mu.Lock()
	change()
	err := l.applyFaults()
	l.mu.Unlock()
	l.check(err, what)
}

// applyFaults replaces the switch's filter by one that says all faults in force, in one transaction of nf_tables.
func (l *Lab) applyFaults() error {
	nft, err := nftables.New(nftables.WithNetNSFd(int(l.ns.net.Fd())))
	if err != nil {
		return fmt.Errorf("open nf_tables: %w", err)
	}
	table := &nftables.Table{Family: nftables.TableFamilyBridge, Name: "faults"}
	nft.AddTable(table) // so that there is one to delete
	nft.DelTable(table)
	nft.AddTable(table)
	from := nft.AddChain(chain(table, "from", nftables.ChainHookPrerouting))
	to := nft.AddChain(chain(table, "to", nftables.ChainHookPostrouting))
	between := nft.AddChain(chain(table, "between", nftables.ChainHookForward))
	drop := func(c *nftables.Chain, match ...[]expr.Any) {
		var exprs []expr.Any
		for _, m := range match {
			exprs = append(exprs, m...)
		}
		nft.AddRule(&nftables.Rule{Table: table, Chain: c, Exprs: append(exprs, &expr.Verdict{Kind: expr.VerdictDrop})})
	}
	for _, p := range l.ports {
		switch {
		case p.cut:
			drop(from, name(expr.MetaKeyIIFNAME, p.peer))
			drop(to, name(expr.MetaKeyOIFNAME, p.peer))
		case p.noARP:
			drop(from, name(expr.MetaKeyIIFNAME, p.peer), isARP())
			drop(to, name(expr.MetaKeyOIFNAME, p.peer), isARP())
		case p.loss > 0:
			drop(from, name(expr.MetaKeyIIFNAME, p.peer), chance(p.loss))
			drop(to, name(expr.MetaKeyOIFNAME, p.peer), chance(p.loss))
		}
	}
	for pair := range l.blocked {
		drop(between, name(expr.MetaKeyIIFNAME, pair[0].peer), name(expr.MetaKeyOIFNAME, pair[1].peer))
	}
	err = nft.Flush()
	for _, missing := range []error{unix.EOPNOTSUPP, unix.EPROTONOSUPPORT, unix.ENOENT} {
		if errors.Is(err, missing) {
			return fmt.Errorf("%w nf_tables for bridges, or its numgen: %w", errMissing, err)
		}
	}
	if err != nil {
		return fmt.Errorf("commit to nf_tables: %w", err)
	}
	return nil
}

func chain(t *nftables.Table, name string, hook *nftables.ChainHook) *nftables.Chain {
	return &nftables.Chain{Table: t, Name: name, Type: nftables.ChainTypeFilter, Hooknum: hook, Priority: nftables.ChainPriorityFilter}
}

// name matches frames whose interface (by key) has the name.
func name(key expr.MetaKey, name string) []expr.Any {
	padded := make([]byte, unix.IFNAMSIZ)
	copy(padded, name)
	return []expr.Any{
		&expr.Meta{Key: key, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: padded},
	}
}

// chance matches percent of the frames that come here, to the nearest ten thousandth.
func chance(percent float64) []expr.Any {
	const whole = 10_000
	below := uint32(percent/100*whole + 0.5)
	return []expr.Any{
		&expr.Numgen{Register: 1, Modulus: whole, Type: unix.NFT_NG_RANDOM},
		// Comparisons are of bytes (nft_cmp.c), the number is the processor's.
		&expr.Byteorder{SourceRegister: 1, DestRegister: 1, Op: expr.ByteorderHton, Len: 4, Size: 4},
		&expr.Cmp{Op: expr.CmpOpLt, Register: 1, Data: binaryutil.BigEndian.PutUint32(below)},
	}
}

// DropARP drops what is ARP, and nothing else, from and to the port, as a switch does that has its own idea of who is where. Heal ends it.
func (p *Port) DropARP() {
	l := p.host.lab
	l.t.Helper()
	l.fault(fmt.Sprintf("drop ARP at %v", p), func() { p.noARP = true })
}

// isARP matches ARP packets.
func isARP() []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyPROTOCOL, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.BigEndian.PutUint16(0x0806)},
	}
}
