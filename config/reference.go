package config

import (
	"regexp"
	"strings"
)

// Section is one table of the file: what the documentation says about it.
type Section struct {
	Name   string // "lease"; "" for the keys before the first table
	List   bool   // [[name]], which may stand any number of times
	Text   string // paragraphs, separated by an empty line; those of all Groups left out
	Groups []Group
}

// Group is keys that are explained together.
type Group struct {
	Text string
	Keys []Key
}

// Key is one key of the file.
type Key struct {
	Name    string // full: "lease.hold"
	Value   string // as TOML: the default, or in a Section that is a List an example
	Kind    string // "duration, whole seconds"
	Bounds  string // "3s to 1h", "at least 0", or ""
	Comment string // what stands behind the value
}

// Reference returns every key with its default and meaning: names, defaults
// and words from the sample, types and bounds from the reader that enforces
// them. So there is one text to maintain, sample.toml, and tests hold it
// against the reader.
func Reference() []Section {
	r, err := read("sample.toml", []byte(complete(sample)))
	if err != nil {
		panic(err) // the sample is part of this program
	}
	readAll(r, Env{Hostname: "node-1"})
	s := sampleReader{wanted: r.wanted, sections: []Section{{}}}
	for line := range strings.Lines(sample) {
		s.line(strings.TrimRight(line, "\n"))
	}
	s.endGroup()
	return s.sections
}

// complete adds a table for each list that the sample only shows, so that the
// reader asks for its keys.
func complete(sample string) string {
	var b strings.Builder
	b.WriteString(sample)
	for line := range strings.Lines(sample) {
		if m := exampleHeader.FindStringSubmatch(line); m != nil {
			b.WriteString("\n[[" + m[1] + "]]\n")
		}
	}
	return b.String()
}

// The lines of the sample. "# text" is prose; a line that is indented behind
// its "#" is an example of a list of tables.
var (
	sectionHeader = regexp.MustCompile(`^(\[+)([a-z._]+)\]+$`)
	keyLine       = regexp.MustCompile(`^#?([a-z_]+) = ([^#]*?)\s*(?:#\s*(.*))?$`)
	exampleHeader = regexp.MustCompile(`^#     \[\[([a-z._]+)\]\]\s*(?:#.*)?$`)
	exampleKey    = regexp.MustCompile(`^#     ([a-z_]+) = (.*?)\s*(?:#\s*(.*))?$`)
	exampleMore   = regexp.MustCompile(`^#  +#\s*(.*)$`)
)

// sampleReader turns the lines of the sample into sections.
type sampleReader struct {
	wanted   map[string]wanted
	sections []Section
	text     []string // lines of prose not yet given to anything
	group    Group
}

func (s *sampleReader) section() *Section { return &s.sections[len(s.sections)-1] }

func (s *sampleReader) line(line string) {
	if m := sectionHeader.FindStringSubmatch(line); m != nil {
		if s.section().Name == m[2] {
			return // the list was shown as an example above
		}
		s.open(m[2], m[1] == "[[")
	} else if m := exampleHeader.FindStringSubmatch(line); m != nil {
		s.example(m[1])
	} else if m := exampleKey.FindStringSubmatch(line); m != nil && s.section().List {
		s.group.Keys = append(s.group.Keys, s.key(m[1], m[2], m[3]))
	} else if m := exampleMore.FindStringSubmatch(line); m != nil && len(s.group.Keys) > 0 {
		last := &s.group.Keys[len(s.group.Keys)-1]
		last.Comment += " " + m[1]
	} else if m := keyLine.FindStringSubmatch(line); m != nil && !s.section().List {
		if len(s.group.Keys) == 0 {
			s.group.Text, s.text = prose(s.text), nil
		}
		s.group.Keys = append(s.group.Keys, s.key(m[1], m[2], m[3]))
	} else if text, ok := strings.CutPrefix(line, "#"); ok {
		s.text = append(s.text, strings.TrimPrefix(text, " "))
	} else if line == "" {
		s.endGroup()
	}
}

// example begins a list of tables. The paragraph before its header is about
// it; those before that are about the list that ends, if one does.
func (s *sampleReader) example(name string) {
	about := strings.Split(prose(s.text), "\n\n")
	s.text = nil
	if s.section().List {
		last := len(about) - 1
		s.section().append(about[:last])
		about = about[last:]
	}
	s.open(name, true)
	s.section().append(about)
}

// open begins a section. Prose that belongs to no key is about the section
// that ends.
func (s *sampleReader) open(name string, list bool) {
	s.endGroup()
	s.sections = append(s.sections, Section{Name: name, List: list})
}

func (s *sampleReader) endGroup() {
	section := s.section()
	if len(s.text) > 0 {
		section.append([]string{prose(s.text)})
		s.text = nil
	}
	if len(s.group.Keys) > 0 {
		section.Groups = append(section.Groups, s.group)
	}
	s.group = Group{}
}

func (s *Section) append(paragraphs []string) {
	for _, p := range paragraphs {
		s.Text = strings.TrimPrefix(s.Text+"\n\n"+p, "\n\n")
	}
}

func (s *sampleReader) key(name, value, comment string) Key {
	k := Key{Name: child(s.section().Name, name), Value: value, Comment: comment}
	w := s.wanted[k.Name]
	k.Kind = w.kind
	switch {
	case w.least != "" && w.most != "":
		k.Bounds = w.least + " to " + w.most
	case w.least != "":
		k.Bounds = "at least " + w.least
	case w.most != "":
		k.Bounds = "at most " + w.most
	}
	return k
}

// prose joins the lines of each paragraph.
func prose(lines []string) string {
	var paragraphs []string
	for paragraph := range strings.SplitSeq(strings.Join(lines, "\n"), "\n\n") {
		if text := strings.Join(strings.Fields(paragraph), " "); text != "" {
			paragraphs = append(paragraphs, text)
		}
	}
	return strings.Join(paragraphs, "\n\n")
}
