package health

import (
	"bytes"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// maxRounds ends the hunt for a session that forks faster than it is killed.
const maxRounds = 100

// endSession kills all processes of a session. The caller guarantees that leader has not been reaped, so that the number is still that of the session.
//
// The process group of the leader ends in one system call, which no fork escapes. Who has left the group is looked for in /proc, in rounds, until one finds
// nobody new: what has SIGKILL cannot fork any more.
func endSession(leader int) {
	_ = unix.Kill(-leader, unix.SIGKILL)
	killed := map[int]bool{leader: true}
	for range maxRounds {
		found := false
		for _, pid := range processes() {
			if killed[pid] || statOf(pid).session != leader {
				continue
			}
			killed[pid], found = true, true
			killMember(pid, leader)
		}
		if !found {
			return
		}
	}
}

// killMember kills pid if it is of that session. The pidfd stands for the same process before and after the question, which a number does not.
func killMember(pid, leader int) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return // it is gone, or this kernel is older than 5.3
	}
	defer unix.Close(fd)
	if statOf(pid).session == leader {
		_ = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
	}
}

// processes lists all processes that /proc shows.
func processes() []int {
	proc, err := os.Open("/proc")
	if err != nil {
		return nil
	}
	defer proc.Close()
	names, _ := proc.Readdirnames(-1) // what was read before an error still counts
	pids := make([]int, 0, len(names))
	for _, name := range names {
		if pid, err := strconv.Atoi(name); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

// stat is what /proc says about a process. A process that is gone has the zero value.
type stat struct {
	state           byte // 'R' runs, 'Z' is a zombie, and so on
	parent, session int
}

// statOf asks for a process. See proc_pid_stat(5): the name in parentheses may contain anything, and then come the state, the parent, the group, the session.
func statOf(pid int) stat {
	line, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return stat{}
	}
	fields := bytes.Fields(line[bytes.LastIndexByte(line, ')')+1:])
	if len(fields) < 4 {
		return stat{}
	}
	number := func(i int) int { n, _ := strconv.Atoi(string(fields[i])); return n }
	return stat{state: fields[0][0], parent: number(1), session: number(3)}
}
