package importer

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Options is what a file does not say about itself. The zero value will do.
type Options struct {
	// Node is the name, in viplease, of the node whose file this is, for the
	// preferences in it. "" or what is no name: they are printed as comments.
	Node string
}

// Result is an imported configuration.
type Result struct {
	TOML  string // config.Parse accepts it
	Notes []Note // in the order of the lines; those of line 0 come first
}

// Note is one thing that changed its meaning or has no equivalent.
type Note struct {
	File      string // as it was given
	Line      int    // from 1; 0: the file as a whole, such as what is missing
	Directive string // of the imported file, or the key of the TOML; may be ""
	Text      string // what is different; what to do
}

// String returns the note as one line: "file:line: directive: text".
func (n Note) String() string {
	var b strings.Builder
	b.WriteString(n.File)
	if n.Line > 0 {
		fmt.Fprintf(&b, ":%d", n.Line)
	}
	b.WriteString(": ")
	if n.Directive != "" {
		b.WriteString(n.Directive + ": ")
	}
	b.WriteString(n.Text)
	return b.String()
}

// Problems is every mistake found in one file, in the order of its lines. It
// is the type of all errors of this package.
type Problems []Note

// Error returns one line for each mistake.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

const (
	// maxFile bounds the work on a file that is no configuration at all.
	maxFile = 1 << 20
	// maxProblems and maxNotes bound what is said about such a file.
	maxProblems = 50
	maxNotes    = 1000
)

// report collects what is to be said about one file.
type report struct {
	file     string
	notes    []Note
	problems Problems
	told     map[string]bool
}

// once says whether it is asked for the first time about a text that need not
// be repeated.
func (r *report) once(text string) bool {
	if r.told[text] {
		return false
	}
	if r.told == nil {
		r.told = map[string]bool{}
	}
	r.told[text] = true
	return true
}

func (r *report) note(line int, directive, format string, args ...any) {
	r.notes = append(r.notes, Note{r.file, line, shown(directive), fmt.Sprintf(format, args...)})
}

func (r *report) problem(line int, directive, format string, args ...any) {
	r.problems = append(r.problems, Note{r.file, line, shown(directive), fmt.Sprintf(format, args...)})
}

// result is the configuration, or what is wrong.
func (r *report) result(d document) (Result, error) {
	byLine := func(a, b Note) int { return cmp.Compare(a.Line, b.Line) }
	if len(r.problems) > 0 {
		slices.SortStableFunc(r.problems, byLine)
		if more := len(r.problems) - maxProblems; more > 0 {
			r.problems = append(r.problems[:maxProblems], Note{File: r.file, Line: r.problems[maxProblems].Line,
				Text: fmt.Sprintf("and %d more mistakes from here on", more)})
		}
		return Result{}, r.problems
	}
	slices.SortStableFunc(r.notes, byLine)
	if more := len(r.notes) - maxNotes; more > 0 {
		r.notes = append(r.notes[:maxNotes], Note{File: r.file, Line: r.notes[maxNotes].Line,
			Text: fmt.Sprintf("and %d more notes from here on", more)})
	}
	return Result{TOML: d.print(), Notes: r.notes}, nil
}

// tooLarge tells about a file that is refused unread.
func (r *report) tooLarge(data []byte) bool {
	if len(data) <= maxFile {
		return false
	}
	r.problem(0, "", "is larger than %d MiB; this is no such configuration", maxFile>>20)
	return true
}

// quote shows what was written, on one line, in ASCII and not endlessly.
func quote(s string) string {
	const most = 80
	if len(s) > most {
		return strconv.QuoteToASCII(s[:most]) + "..."
	}
	return strconv.QuoteToASCII(s)
}

// shown is quote without the quotes, for what is to be written so.
func shown(s string) string {
	q, cut := strings.CutSuffix(quote(s), `"...`)
	if cut {
		return q[1:] + "..."
	}
	return q[1 : len(q)-1]
}
