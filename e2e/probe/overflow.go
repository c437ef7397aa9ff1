package probe

import (
	"bytes"
	"os"
	"strconv"
	"time"
)

// overflowReach is how far before an overflow a probe may have been sent that fell victim to it: it waits in the queue of each bridge and veth that it crosses.
const overflowReach = 20 * time.Millisecond

// overflows watches the queues in which the kernel keeps what virtual interfaces have handed over until the CPU has time for it (enqueue_to_backlog in
// net/core/dev.c). They belong to the whole machine, and one that is full drops packets of every namespace alike. That says nothing about an address.
type overflows struct {
	file   *os.File // nil: this kernel does not tell
	count  uint64   // packets dropped so far
	looked time.Duration
	seen   int // how often it had risen
}

func watchOverflows() *overflows {
	file, err := os.Open("/proc/self/net/softnet_stat")
	if err != nil {
		return &overflows{}
	}
	o := &overflows{file: file}
	o.look(sinceBoot())
	o.seen = 0
	return o
}

// look tells whether a queue has overflowed since it was last asked, and the span of time in which lost probes may be due to that.
func (o *overflows) look(now time.Duration) (from, to time.Duration, happened bool) {
	if o.file == nil {
		return 0, 0, false
	}
	var text [8192]byte
	n, _ := o.file.ReadAt(text[:], 0)
	count := dropped(text[:n])
	from, to, happened = o.looked-overflowReach, now, count != o.count
	o.count, o.looked = count, now
	if happened {
		o.seen++
	}
	return from, to, happened
}

func (o *overflows) close() {
	if o.file != nil {
		o.file.Close()
	}
}

// dropped adds up the second column of softnet_stat, one line a CPU, in hexadecimal (softnet_seq_show in net/core/net-procfs.c).
func dropped(stat []byte) (sum uint64) {
	for line := range bytes.Lines(stat) {
		if f := bytes.Fields(line); len(f) > 1 {
			n, _ := strconv.ParseUint(string(f[1]), 16, 64)
			sum += n
		}
	}
	return sum
}
