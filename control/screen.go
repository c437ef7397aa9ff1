package control

import (
	"fmt"
	"io"
	"os"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// screen lays text out for one reader: how wide, whether in colour, and what time it is there.
type screen struct {
	width    int  // columns
	height   int  // rows; 0: as many as it takes
	terminal bool // names give way to the width; elsewhere it is the other way round
	colour   bool
	now      time.Time
}

const (
	// plainWidth is the width where there is no terminal.
	plainWidth = 120
	// narrowest is the least that a reason is set in beside the columns; below that it goes under them.
	narrowest = 24
	// underIndent is where it begins then.
	underIndent = 8
	// shortestName is what a column of names keeps on a terminal that is too narrow.
	shortestName = 10
)

// screen describes out. Colours are for terminals whose owner has not said no (no-color.org).
func (c *commands) screen(out io.Writer) screen {
	s := screen{width: plainWidth, now: c.now()}
	if columns, _, ok := terminalSize(out); ok {
		s.width, s.terminal = max(columns, 40), true
		s.colour = os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	}
	return s
}

func (screen) print(out io.Writer, lines []string) error {
	_, err := fmt.Fprintln(out, strings.Join(lines, "\n"))
	return err
}

// alarm marks a line that needs an operator.
func (s screen) alarm(line string) string {
	if !s.colour {
		return line
	}
	return "\x1b[31m" + line + "\x1b[0m"
}

// warning is a sentence that needs an operator.
func (s screen) warning(text string) []string {
	lines := wrap(printable(text), s.width-2)
	for i := range lines {
		mark := "! "
		if i > 0 {
			mark = "  "
		}
		lines[i] = s.alarm(mark + lines[i])
	}
	return lines
}

// table is rows under a head. The last column of the head is that of the reasons, which are wrapped, never cut.
type table struct {
	head  []string
	right []bool // columns of numbers; may be shorter
	rows  []row
}

type row struct {
	bad   bool // needs an operator: marked with !
	cells []string
	why   string
}

// table sets a table: the first line is the head. Without rows there is nothing.
func (s screen) table(t table) []string {
	if len(t.rows) == 0 {
		return nil
	}
	widths := s.widths(t)
	left := 2
	for _, w := range widths {
		left += w + 2
	}
	lines := []string{strings.TrimRight(t.set("  ", t.head, widths)+t.head[len(widths)], " ")}
	for _, r := range t.rows {
		mark := "  "
		if r.bad {
			mark = "! "
		}
		for _, line := range s.beside(t.set(mark, r.cells, widths), left, printable(r.why)) {
			if r.bad {
				line = s.alarm(line)
			}
			lines = append(lines, line)
		}
	}
	return lines
}

// widths are those of the widest cells; on a terminal that is too narrow the widest columns give way.
func (s screen) widths(t table) []int {
	widths := make([]int, len(t.head)-1)
	total := 2 + len(t.head[len(widths)])
	for i := range widths {
		widths[i] = utf8.RuneCountInString(t.head[i])
		for _, r := range t.rows {
			widths[i] = max(widths[i], utf8.RuneCountInString(printable(r.cells[i])))
		}
		total += widths[i] + 2
	}
	for ; s.terminal && total > s.width; total-- {
		widest := 0
		for i, w := range widths {
			if w > widths[widest] {
				widest = i
			}
		}
		if widths[widest] <= shortestName {
			break
		}
		widths[widest]--
	}
	return widths
}

// set lays the cells of one line out.
func (t table) set(mark string, cells []string, widths []int) string {
	var b strings.Builder
	b.WriteString(mark)
	for i, width := range widths {
		cell := squeeze(printable(cells[i]), width)
		pad := strings.Repeat(" ", width-utf8.RuneCountInString(cell))
		if i < len(t.right) && t.right[i] {
			b.WriteString(pad + cell + "  ")
		} else {
			b.WriteString(cell + pad + "  ")
		}
	}
	return b.String()
}

// squeeze takes the middle out of a name that is too long: in both ends names differ.
func squeeze(name string, width int) string {
	runes := []rune(name)
	if len(runes) <= width {
		return name
	}
	const gap = ".."
	start := (width - len(gap)) / 2
	return string(runes[:start]) + gap + string(runes[len(runes)-(width-len(gap)-start):])
}

// beside sets text next to the cells that take the columns to left, or under them where too little is left.
func (s screen) beside(cells string, left int, text string) []string {
	indent, room := left, s.width-left
	var lines []string
	if room < narrowest && utf8.RuneCountInString(text) > room {
		lines = append(lines, strings.TrimRight(cells, " "))
		cells = strings.Repeat(" ", underIndent)
		indent, room = underIndent, s.width-underIndent
	}
	for _, part := range wrap(text, max(room, narrowest)) {
		lines = append(lines, strings.TrimRight(cells+part, " "))
		cells = strings.Repeat(" ", indent)
	}
	return lines
}

// wrap breaks text between words, and words that are too long anywhere. There is always one line.
func wrap(text string, width int) []string {
	lines := []string{""}
	used := 0
	for _, word := range strings.Fields(text) {
		for n := utf8.RuneCountInString(word); n > 0; n = utf8.RuneCountInString(word) {
			last := len(lines) - 1
			switch {
			case used == 0 && n > width:
				runes := []rune(word)
				lines[last], word = string(runes[:width]), string(runes[width:])
				lines = append(lines, "")
			case used == 0:
				lines[last], used, word = word, n, ""
			case used+1+n <= width:
				lines[last], used, word = lines[last]+" "+word, used+1+n, ""
			default:
				lines, used = append(lines, ""), 0
			}
		}
	}
	return lines
}

// printable is text that a terminal shows as it is: what comes from other nodes must not move the cursor.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case !unicode.IsPrint(r):
			return '?'
		}
		return r
	}, text)
}

// cut is the beginning of text, at most n bytes and whole runes.
func cut(text string, n int) string {
	if len(text) <= n {
		return text
	}
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return text[:n] + "..."
}

// listed is how many names a sentence takes.
const listed = 8

// shortList joins names, leaving the end of a long list to the imagination.
func shortList(names []string) string {
	if len(names) <= listed {
		return printable(strings.Join(names, ", "))
	}
	return printable(fmt.Sprintf("%s and %d more", strings.Join(names[:listed], ", "), len(names)-listed))
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// age is a duration as precise as a person cares: 3.1s, 42s, 3m12s, 5h03m, 12d04h. Clocks that disagree make it 0.0s.
func age(d time.Duration) string {
	const day = 24 * time.Hour
	d = max(d, 0)
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1fs", d.Truncate(100*time.Millisecond).Seconds())
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", d/time.Minute, d%time.Minute/time.Second)
	case d < day:
		return fmt.Sprintf("%dh%02dm", d/time.Hour, d%time.Hour/time.Minute)
	default:
		return fmt.Sprintf("%dd%02dh", d/day, d%day/time.Hour)
	}
}
