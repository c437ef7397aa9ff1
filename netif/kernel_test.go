package netif

import (
	"testing"
	"time"
)

// kernelBed opens a Kernel for the contract. The clock stands still, so that the kernel's own lapse is what is tested.
func kernelBed(t *testing.T) raiserBed {
	b := newBed(t)
	clock := func() time.Duration { return 0 }
	k := b.open(func() time.Duration { return clock() })
	reader := b.open(nil) // apart from k, so that a clock may look at the addresses
	events := b.watch(reader)
	return raiserBed{
		raiser:     splitRaiser{k, reader},
		link:       b.link,
		setClock:   func(now func() time.Duration) { clock = now },
		addForeign: b.addForeign,
		awaitLapse: func(t *testing.T, a Address) { events.await(AddressDeleted, a) },
	}
}

// splitRaiser reads through another Kernel than it writes.
type splitRaiser struct {
	*Kernel
	reader *Kernel
}

func (s splitRaiser) Addresses() ([]Present, error) { return s.reader.Addresses() }

func TestKernelIsRaiser(t *testing.T) {
	t.Parallel()
	testRaiser(t, kernelBed)
}
