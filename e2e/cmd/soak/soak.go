package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"viplease/e2e/cluster"
	"viplease/e2e/faults"
	"viplease/e2e/lab"
	"viplease/e2e/probe"
)

const (
	settling = 30 * time.Second // how long everything may take to come to rest when nothing is broken any more
	calm     = 2 * time.Second  // how long nothing happens then

	aftermath = time.Second // what is shown of the time after an overlap's beginning
)

// Why a soak ends before its time.
var (
	errRed     = errors.New("the judge is red")
	errBroken  = errors.New("a fault could not be made or mended")
	errUnquiet = fmt.Errorf("not at rest within %v", settling)
)

// run is one soak.
type run struct {
	*faults.World
	o         options
	schedules [][]faults.Fault
	began     time.Duration // since boot, as all instants
	settled   []time.Duration
	revisions [2]int64 // at the beginning and the end
}

// harness is the cluster's T: what the lab cannot do ends the fault that wanted it, not the program.
type harness struct{ lab.Program }

// Fatalf panics; see faults.World.
func (harness) Fatalf(format string, args ...any) { panic(faults.Fatal(fmt.Sprintf(format, args...))) }

// soak runs one and returns the exit status.
func soak(ctx context.Context, o options) int {
	s, err := start(o)
	if err != nil {
		fmt.Println("soak:", err)
		return failed
	}
	fmt.Printf("seed %d: %d nodes, %d VIPs, %d servers of etcd, %g faults a minute\n", o.seed, o.nodes, o.vips, len(s.Etcd.Servers), o.rate)
	err = s.run(ctx)
	halt := sinceBoot()
	if errors.Is(err, errRed) {
		<-time.After(aftermath)
	}
	if verdict := s.Judge.Verdict(); verdict != nil {
		err = fmt.Errorf("%w: %w", errRed, verdict)
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		s.explain(halt, err)
	}
	last, cancel := context.WithTimeout(context.Background(), 3*time.Second)
	s.revisions[1], _ = s.Revision(last) // 0 where etcd is away
	cancel()
	f := s.figures(halt)
	f.print()
	status := 0
	switch {
	case errors.Is(err, context.Canceled):
		f.Failure, status = "interrupted", interrupted
	case err != nil:
		f.Failure, status = err.Error(), failed
	}
	if f.Failure != "" {
		fmt.Println("\nsoak:", f.Failure)
	}
	if o.json {
		line, _ := json.Marshal(f)
		fmt.Println(string(line))
	}
	s.Probe.Close()
	s.Judge.Close()
	s.World.Close()
	s.Lab.Close()
	return status
}

// start builds the cluster. The client asks each VIP every 5 ms: that is enough here, and leaves the processors to the daemons.
func start(o options) (s *run, err error) {
	defer func() {
		if f, ok := recover().(faults.Fatal); ok {
			err = f
		}
	}()
	mode := cluster.Fast
	if o.strict {
		mode = cluster.Strict
	}
	c := cluster.Start(harness{}, cluster.Options{
		Nodes: o.nodes, VIPs: o.vips, Etcd: 3, Probed: 1, Idle: true, Mode: mode, Gateway: true,
	})
	c.Probe.Close()
	if c.Probe, err = probe.Start(probe.Config{NS: c.Client.NetNS(), Targets: c.VIPs, Every: 5 * time.Millisecond}); err != nil {
		return nil, err
	}
	for _, n := range c.Nodes {
		n.Start(c.Config(n.Name))
	}
	return &run{World: faults.New(c), o: o}, nil
}

// run breaks things and lets them come to rest, until the time is over. It returns context.Canceled when ctx ends, and an error when the soak fails.
func (s *run) run(ctx context.Context) error {
	ctx, end := context.WithCancelCause(ctx)
	defer end(nil)
	go func() {
		select {
		case <-s.Judge.Failed():
			end(errRed)
		case <-ctx.Done():
		}
	}()
	fmt.Println("waiting for a cold start")
	if err := s.settle(ctx); err != nil {
		return err
	}
	s.began, s.settled = sinceBoot(), nil
	s.revisions[0], _ = s.Revision(ctx)
	scheduler := faults.NewScheduler(s.o.seed, faults.Options{Nodes: s.o.nodes, PerMinute: s.o.rate, Kinds: s.o.kinds})
	for {
		length := s.o.length - s.elapsed()
		if length > s.o.phase*3/2 { // else what is left would be too short for a phase of its own
			length = s.o.phase
		}
		schedule := scheduler.Next(length)
		s.schedules = append(s.schedules, schedule)
		fmt.Printf("%s %d faults in %v\n", s.clock(), len(schedule), length.Round(time.Second))
		s.Run(ctx, schedule, func(o faults.Outcome) {
			fmt.Printf("%s   %v\n", s.clock(), o)
			if o.Err != nil {
				end(fmt.Errorf("%w: %v", errBroken, o))
			}
		})
		s.forgive(ctx)
		if err := s.settle(ctx); err != nil {
			return err
		}
		if s.elapsed() >= s.o.length-calm {
			return nil
		}
	}
}

// elapsed is 0 before the beginning.
func (s *run) elapsed() time.Duration {
	if s.began == 0 {
		return 0
	}
	return sinceBoot() - s.began
}

// clock is the time since the beginning, for the start of a line.
func (s *run) clock() string { return fmt.Sprintf("%7.1fs", s.elapsed().Seconds()) }

func sinceBoot() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &t); err != nil {
		panic("soak: read a clock: " + err.Error())
	}
	return time.Duration(t.Nano())
}
