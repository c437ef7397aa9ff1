// Package importer reads the configurations of other programs that keep
// virtual addresses up, and writes the TOML of viplease.
//
// # What comes out
//
// [Wackamole] reads a wackamole.conf, [Keepalived] the VRRP part of a
// keepalived.conf. Each returns a [Result]: a configuration that package
// config accepts, and the notes, which say what means something else from now
// on and what has no equivalent. Where nothing is noted, nothing changed.
//
// What the other file does not say is left out, so that viplease's default
// holds; where the other program's was another, a note says so.
//
// # What must be done by hand
//
// Etcd is nowhere in such a file: etcd.endpoints is a placeholder. The other
// programs have one file on each node, with what this node prefers; viplease
// has one file for all, with the nodes that a VIP prefers. [Options.Node] says
// whose file it is. What the TOML format has and this version of viplease does
// not carry out is printed as a comment.
//
// # What happens to a mistake
//
// A file that the other program would not have read, or would have read as
// something that cannot have been meant, is refused with all its mistakes,
// one a line, each with what to write: a [Problems]. A file that it did read,
// and that did nothing good, is imported with a note.
//
// # What it touches
//
// Nothing: the functions are pure, read no other file, and may be called by
// many goroutines at once. The work and the output are bounded by the input,
// which may have 1 MiB.
//
// # Sources
//
// Wackamole's grammar is that of its lexer and parser, config_gram.l and
// config_gram.y of postwait/wackamole at f5b76ae, and not its manual page,
// which lacks half of it. keepalived's is that of keepalived.conf(5).
package importer
