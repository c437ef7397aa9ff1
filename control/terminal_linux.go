package control

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// terminalSize returns the columns and rows of out, false when out is no terminal. A terminal that does not know has 80 by 24.
func terminalSize(out io.Writer) (columns, rows int, ok bool) {
	f, isFile := out.(*os.File)
	if !isFile {
		return 0, 0, false
	}
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0, 0, false
	}
	if size.Col == 0 || size.Row == 0 {
		return 80, 24, true
	}
	return int(size.Col), int(size.Row), true
}
