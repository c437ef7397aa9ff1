package lab

import (
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// home is where labs keep their files: in memory, on a /run that only this world sees. It stands only inside, so it also tells
// whether Main was called.
const home = "/run/viplease-lab"

// inside is the first process of the world: it makes the world fit to live in, starts the program and reaps what is left to it. Its
// end is the end of everything here.
func inside() (status int) {
	line := os.NewFile(3, "lifeline")
	unix.CloseOnExec(3)
	err := furnish()
	say(line, err)
	if err != nil {
		return 1
	}
	go func() {
		line.Read(make([]byte, 1)) // nothing is ever sent: it returns when the outside has gone
		os.Exit(128 + int(syscall.SIGKILL))
	}()
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	os.Setenv(stageEnv, "program")
	program, err := os.StartProcess("/proc/self/exe", os.Args, &os.ProcAttr{
		Files: []*os.File{os.Stdin, os.Stdout, os.Stderr},
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "lab: start the program:", err)
		return 1
	}
	go func() {
		for s := range signals {
			program.Signal(s)
		}
	}()
	limit := lifeLimit()
	time.AfterFunc(limit, func() {
		fmt.Fprintf(os.Stderr, "lab: ended by its watchdog after %v (%s)\n", limit, limitEnv)
		program.Signal(syscall.SIGQUIT) // a Go program prints its goroutines
		time.AfterFunc(5*time.Second, func() { os.Exit(124) })
	})
	return reap(program.Pid)
}

// reap waits for every process that has no other parent, until the program ends.
func reap(program int) (status int) {
	for {
		var w syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &w, 0, nil)
		switch {
		case err == syscall.EINTR:
		case err != nil:
			fmt.Fprintln(os.Stderr, "lab: wait:", err)
			return 1
		case pid == program:
			return exitStatus(w)
		}
	}
}

func lifeLimit() time.Duration {
	if d, err := time.ParseDuration(os.Getenv(limitEnv)); err == nil {
		return d
	}
	return defaultLimit
}

// furnish gives the world its own view of processes, interfaces and run-time files. Mounts made here are seen nowhere else.
func furnish() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("keep mounts private: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	if err := unix.Mount("run", "/run", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755"); err != nil {
		return fmt.Errorf("mount /run: %w", err)
	}
	if err := os.Mkdir(home, 0o755); err != nil {
		return fmt.Errorf("make the lab's folder: %w", err)
	}
	if err := unix.Sethostname([]byte("lab")); err != nil {
		return fmt.Errorf("name the lab: %w", err)
	}
	return nil
}
